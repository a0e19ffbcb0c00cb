import { isRouteErrorResponse, Link, useRouteError } from "react-router";
import { Page } from "./Page";

/** Shown instead of a page that could not be drawn, or that does not exist. */
export function PageError() {
  const error = useRouteError();
  const missing = isRouteErrorResponse(error) && error.status === 404;
  return (
    <Page title={missing ? "No such page" : "This page could not be shown"}>
      {missing ? null : <pre>{error instanceof Error ? error.message : String(error)}</pre>}
      <p>
        <Link to="/">Go to Home</Link>
      </p>
    </Page>
  );
}

export function NotFound() {
  return (
    <Page title="No such page">
      <p>
        <Link to="/">Go to Home</Link>
      </p>
    </Page>
  );
}
