import { Button, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { Link, useNavigate } from "react-router";
import { useDeployments, usePredictions } from "../api/queries";
import { value } from "../format";
import { Loaded } from "../parts/Loaded";
import { Grid, Section, When } from "../parts/Texts";
import { Empty, Page } from "../shell/Page";
import "./why.css";

/** Give an id, or take one of the newest predictions. */
export default function WhyPage() {
  const deployments = useDeployments();
  return (
    <Page title="Why">
      <p className="lead">Every answer carries an id. From it, the way leads back through the loop to the data, and the same answer is computed again. A rollout, or what a person did, is told from what asked for it to what followed.</p>
      <Ask />
      <Loaded of={deployments}>
        {(data) =>
          data.length === 0 ? (
            <Empty command="noria demo">Nothing has been predicted here yet.</Empty>
          ) : (
            <div className="stack">
              {data.map((deployment) => (
                <Newest key={deployment.name} name={deployment.name} />
              ))}
            </div>
          )
        }
      </Loaded>
    </Page>
  );
}

export function Ask({ former = "" }: { former?: string }) {
  const [id, setId] = useState(former);
  const go = useNavigate();
  const ask = (event: FormEvent) => {
    event.preventDefault();
    if (id.trim() !== "") void go(`/why/${encodeURIComponent(id.trim())}`);
  };
  return (
    <form className="ask" onSubmit={ask}>
      <TextInput label="Id of a prediction, a rollout or an event" placeholder="r0123456789abcdef….0" value={id} onChange={(event) => setId(event.currentTarget.value)} className="ask-id" />
      <Button type="submit">Why?</Button>
    </form>
  );
}

function Newest({ name }: { name: string }) {
  const predictions = usePredictions(name, 12);
  return (
    <Section title={`Newest in ${name}`}>
      <Loaded of={predictions}>
        {(data) =>
          data.predictions.length === 0 ? (
            <Empty>Nothing has been predicted in {name} yet.</Empty>
          ) : (
            <Grid label={`Newest predictions in ${name}`} dense>
              <thead>
                <tr>
                  <th scope="col">Prediction</th>
                  <th scope="col">Answer</th>
                  <th scope="col">Version</th>
                  <th scope="col">Asked</th>
                </tr>
              </thead>
              <tbody>
                {data.predictions.map((row) => (
                  <tr key={row.prediction_id}>
                    <th scope="row">
                      <Link to={`/why/${encodeURIComponent(row.prediction_id)}`}>
                        <code className="digest">{row.prediction_id}</code>
                      </Link>
                    </th>
                    <td>
                      {Object.entries(row.outputs)
                        .map(([output, given]) => `${output} ${value(given)}`)
                        .join(", ")}
                    </td>
                    <td>
                      v{row.number} <span className="muted">{row.variant}</span>
                    </td>
                    <td>
                      <When at={row.at} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </Grid>
          )
        }
      </Loaded>
    </Section>
  );
}
