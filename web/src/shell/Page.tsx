import { Group, Stack, Title } from "@mantine/core";
import type { ReactNode } from "react";
import { Command } from "../parts/Texts";

/** The head that all pages share: title of the tab, heading, the main action. */
export function Page({ title, action, children }: { title: string; action?: ReactNode; children: ReactNode }) {
  return (
    <Stack gap={16}>
      <title>{`${title} · Noria`}</title>
      <Group justify="space-between" wrap="nowrap">
        <Title order={1}>{title}</Title>
        {action}
      </Group>
      {children}
    </Stack>
  );
}

/** What stands where there is nothing yet: one sentence and the command that fills it. */
export function Empty({ children, command }: { children: ReactNode; command?: string }) {
  return (
    <div className="empty">
      <div>{children}</div>
      {command === undefined ? null : <Command>{command}</Command>}
    </div>
  );
}
