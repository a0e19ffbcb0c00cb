import { Button, Modal, NativeSelect, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Failed } from "./Loaded";

const NAME = "noria-name";

export interface Said {
  reason: string;
  by: string;
  /** Which of `choices` was taken, "" without any. */
  choice: string;
}

interface Props {
  /** What the button says; the same words confirm. */
  label: string;
  title: string;
  /** What will happen, in a sentence or two. */
  warning: string;
  /** Something to choose, if there is something: its label and its values by name. */
  choose?: { label: string; of: { value: string; label: string }[] };
  primary?: boolean;
  act: (said: Said) => Promise<unknown>;
}

/** A button whose act asks once: what will happen, why, and who says so. The name is remembered in this browser. */
export function AskOnce({ label, title, warning, choose, primary = false, act }: Props) {
  const [open, { open: ask, close }] = useDisclosure(false, { onOpen: () => setBy(localStorage.getItem(NAME) ?? "") });
  const [reason, setReason] = useState("");
  const [by, setBy] = useState("");
  const [choice, setChoice] = useState(choose?.of[0]?.value ?? "");
  const queries = useQueryClient();
  const run = useMutation({
    mutationFn: act,
    onSuccess: async () => {
      setReason("");
      close();
      await queries.invalidateQueries();
    },
  });
  const send = (event: FormEvent) => {
    event.preventDefault();
    localStorage.setItem(NAME, by.trim());
    run.mutate({ reason: reason.trim(), by: by.trim() === "" ? "pages" : by.trim(), choice });
  };
  return (
    <>
      <Button size="xs" {...(primary ? {} : { variant: "default" })} onClick={ask}>
        {label}
      </Button>
      <Modal opened={open} lockScroll={false} onClose={close} title={title} transitionProps={{ duration: 0 }} closeButtonProps={{ "aria-label": "Close" }} centered>
        <form onSubmit={send} className="ask-once">
          <p>{warning}</p>
          {choose === undefined ? null : <NativeSelect label={choose.label} data={choose.of} value={choice} onChange={(event) => setChoice(event.currentTarget.value)} />}
          <TextInput label="Why" required data-autofocus value={reason} onChange={(event) => setReason(event.currentTarget.value)} description="Stands in the ledger, beside what you did." />
          <TextInput label="Your name" value={by} onChange={(event) => setBy(event.currentTarget.value)} />
          {run.error === null ? null : <Failed error={run.error} />}
          <div className="ask-once-acts">
            <Button type="button" variant="default" onClick={close}>
              Leave it
            </Button>
            <Button type="submit" loading={run.isPending} disabled={reason.trim() === ""}>
              {label}
            </Button>
          </div>
        </form>
      </Modal>
    </>
  );
}
