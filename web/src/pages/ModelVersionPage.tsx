import { useParams } from "react-router";
import type { VersionPageView } from "../api/types";
import { useVersion } from "../api/queries";
import { bytes, count, number, percent } from "../format";
import { Events } from "../parts/Events";
import { Gates } from "../parts/Gates";
import { Loaded } from "../parts/Loaded";
import { Datasets, deploymentPath, Params, runPath } from "../parts/RunParts";
import { Chip, StateMark } from "../parts/State";
import { datasetName, Digest, Facts, Figures, Grid, Lineage, Section, type Stop, When, ownTags } from "../parts/Texts";
import { Aliases, AliasHistory } from "../parts/Versions";
import { Page } from "../shell/Page";

/** One version: lineage, gates with their intervals, parity, history. */
export default function ModelVersionPage() {
  const { modelName = "", versionNumber = "" } = useParams();
  const version = useVersion(modelName, versionNumber);
  return (
    <Page title={`${modelName} v${versionNumber}`} action={version.data === undefined ? undefined : <Aliases of={version.data.aliases} />}>
      <Loaded of={version}>{(data) => <Whole version={data} />}</Loaded>
    </Page>
  );
}

function Whole({ version }: { version: VersionPageView }) {
  return (
    <div className="stack">
      <Lineage stops={stopsOf(version)} />
      <Section title="Gates">{version.gates === null ? <p className="muted">This version was registered without gates.</p> : <Gates report={version.gates} />}</Section>
      <Section title="Metrics">
        <div className="card">
          <Figures of={version.metrics} />
        </div>
      </Section>
      <div className="columns">
        <Section title="Version">
          <div className="card">
            <Facts
              of={[
                ["semantic version", `${version.version} (${version.version_reason})`],
                ["registered", <When key="at" at={version.created_at} />],
                ["flavor", version.flavor],
                ["description", version.description || "none"],
                ["tags", Object.keys(ownTags(version.tags)).length === 0 ? "none" : <span key="tags" className="chips">{Object.entries(ownTags(version.tags)).map(([k, v]) => <Chip key={k}>{`${k}: ${v}`}</Chip>)}</span>],
              ]}
            />
          </div>
        </Section>
        <Section title="Bundle and parity">
          <div className="card">
            <BundleFacts of={version} />
          </div>
        </Section>
        <Section title="Params">
          <div className="card">
            <Params of={version.params} />
          </div>
        </Section>
      </div>
      <Section title="Learnt from">
        <Datasets of={version.datasets} />
      </Section>
      <Section title="Signature">
        {version.inputs.length + version.outputs.length === 0 ? <p className="muted">No signature was recorded.</p> : <Fields of={version} />}
      </Section>
      <Section title="Alias history">
        <AliasHistory moves={version.alias_history} />
      </Section>
      <Section title="What led to it">
        <Events events={version.causes} empty="No event of the loop led to this version; it was registered by hand." />
      </Section>
    </div>
  );
}

function stopsOf(version: VersionPageView): Stop[] {
  const place = version.places[0];
  return [
    { what: "data", name: version.datasets.map(datasetName).join(", ") || "none recorded" },
    version.run === null ? { what: "run", name: "not in this store" } : { what: "run", name: version.run.name, to: runPath(version.run.id) },
    { what: "version", name: `v${version.number} (${version.version})`, note: "here" },
    place === undefined
      ? { what: "deployment", name: "nowhere", note: "answers no traffic now" }
      : { what: "deployment", name: place.deployment, to: deploymentPath(place.deployment), note: `${place.role}, ${percent(place.weight)}` },
  ];
}

function BundleFacts({ of }: { of: VersionPageView }) {
  const bundle = of.bundle;
  if (bundle === null)
    return (
      <p className="muted">
        {of.bundle_digest === null ? (
          "It was registered from outside and has no bundle: no deployment can serve it."
        ) : (
          <>
            The bundle <Digest of={of.bundle_digest} /> is not in this store.
          </>
        )}
      </p>
    );
  const parity = bundle.parity;
  return (
    <Facts
      of={[
        ["address", <Digest key="digest" of={bundle.digest} />],
        ["loads without running code", bundle.code_free ? "yes" : "no"],
        ["files", `${count(bundle.files)}, ${bytes(bundle.size)}`],
        ["parity with the trained model", parity === null ? "not converted" : <StateMark key="parity" state={parity.passed ? "ok" : parity.rows === 0 ? "empty" : "bad"} word={parity.passed ? "the same answers" : parity.rows === 0 ? "not converted" : "differs"} />],
        ...(parity === null
          ? []
          : ([
              ["largest difference", `${number(parity.max_difference)} (at most ${number(parity.tolerance)})`],
              ["rows compared", count(parity.rows)],
              ["answers that flipped", count(parity.label_flips)],
              ...(parity.reason === "" ? [] : [["served in its own form because", parity.reason]]),
            ] as [string, string][])),
      ]}
    />
  );
}

/** What training saw in a column: its text values, or the range of its numbers. */
function Seen({ of }: { of: VersionPageView["inputs"][number] }) {
  if (of.categories !== null) return <div className="clip" title={of.categories.join(", ")}>{`${of.categories.length}: ${of.categories.join(", ")}`}</div>;
  if (of.minimum != null && of.maximum != null) return <>{`${number(of.minimum)} to ${number(of.maximum)}`}</>;
  return <span className="muted">any</span>;
}

function Fields({ of }: { of: VersionPageView }) {
  const rows = [...of.inputs.map((field) => ({ side: "in", field })), ...of.outputs.map((field) => ({ side: "out", field }))];
  return (
    <Grid label="Signature" dense>
      <thead>
        <tr>
          <th scope="col">Column</th>
          <th scope="col">Side</th>
          <th scope="col">Type</th>
          <th scope="col">May be missing</th>
          <th scope="col">Seen values</th>
        </tr>
      </thead>
      <tbody>
        {rows.map(({ side, field }) => (
          <tr key={`${side} ${field.name}`}>
            <th scope="row">
              <code>{field.name}</code>
            </th>
            <td>{side === "in" ? "input" : "output"}</td>
            <td>
              <code>{field.width === 1 ? field.datatype : `${field.datatype} × ${field.dims?.length ? field.dims.join(" × ") : field.width}`}</code>
            </td>
            <td>{field.nullable ? "yes" : "no"}</td>
            <td>
              <Seen of={field} />
            </td>
          </tr>
        ))}
      </tbody>
    </Grid>
  );
}
