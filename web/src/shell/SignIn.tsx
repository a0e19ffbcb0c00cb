import { Button, PasswordInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";
import { change } from "../api/client";
import { useSession } from "../api/queries";
import type { Session } from "../api/types";
import { Failed } from "../parts/Loaded";
import { Page } from "./Page";

/** Asks for the server's key where the server wants one; on loopback nobody ever sees this. */
export function SignIn({ children }: { children: ReactNode }) {
  const session = useSession();
  const queries = useQueryClient();
  const [key, setKey] = useState("");
  const sign = useMutation({
    mutationFn: () => change<Session>("POST", "/api/v1/session", { body: { key } }),
    onSuccess: () => queries.invalidateQueries(),
  });
  if (session.data === undefined || !session.data.required || session.data.signed_in) return children;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    sign.mutate();
  };
  return (
    <Page title="Sign in">
      <p className="muted">This server can be reached from other machines, so it asks for its key: the value of NORIA_API_KEY where it was started.</p>
      <form className="ask" onSubmit={submit}>
        <PasswordInput label="Key" value={key} onChange={(event) => setKey(event.currentTarget.value)} w={360} autoComplete="current-password" />
        <Button type="submit" loading={sign.isPending}>
          Sign in
        </Button>
      </form>
      {sign.error === null ? null : <Failed error={sign.error} />}
    </Page>
  );
}
