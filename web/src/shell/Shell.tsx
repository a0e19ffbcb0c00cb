import { AppShell, Burger, Group, Stack } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { Suspense } from "react";
import { Link, NavLink, Outlet, ScrollRestoration } from "react-router";
import { AlertsIcon, DeploymentsIcon, HomeIcon, LedgerIcon, ModelsIcon, RunsIcon, WheelIcon, WhyIcon } from "./icons";
import { SchemeSwitch } from "./SchemeSwitch";
import { SignIn } from "./SignIn";

const RAIL = [
  { to: "/", label: "Home", Icon: HomeIcon },
  { to: "/runs", label: "Runs", Icon: RunsIcon },
  { to: "/models", label: "Models", Icon: ModelsIcon },
  { to: "/deployments", label: "Deployments", Icon: DeploymentsIcon },
  { to: "/alerts", label: "Alerts", Icon: AlertsIcon },
  { to: "/why", label: "Why", Icon: WhyIcon },
  { to: "/ledger", label: "Ledger", Icon: LedgerIcon },
];

/** What every page stands in: the bar above, the rail at the left, the page itself. */
export function Shell() {
  const [open, { toggle, close }] = useDisclosure(false);
  return (
    <AppShell header={{ height: 48 }} navbar={{ width: 200, breakpoint: "sm", collapsed: { mobile: !open } }} padding="lg" transitionDuration={0}>
      <a className="skip-link" href="#page">
        Skip to the page
      </a>
      <AppShell.Header>
        <Group h="100%" px={16} justify="space-between" wrap="nowrap">
          <Group gap={8} wrap="nowrap">
            <Burger opened={open} onClick={toggle} hiddenFrom="sm" size="sm" aria-label="Navigation" aria-expanded={open} />
            <Link to="/" className="brand">
              <WheelIcon />
              Noria
            </Link>
          </Group>
          <SchemeSwitch />
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p={8} aria-label="Sections">
        <Stack gap={4}>
          {RAIL.map(({ to, label, Icon }) => (
            <NavLink key={to} to={to} end={to === "/"} className="rail-link" onClick={close}>
              <Icon />
              {label}
            </NavLink>
          ))}
        </Stack>
      </AppShell.Navbar>
      <AppShell.Main id="page" tabIndex={-1}>
        <div className="page">
          <Suspense fallback={<p role="status">Loading…</p>}>
            <SignIn>
              <Outlet />
            </SignIn>
          </Suspense>
        </div>
      </AppShell.Main>
      <ScrollRestoration />
    </AppShell>
  );
}
