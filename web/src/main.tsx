import "@mantine/core/styles.css";
import "./theme/tokens.css";
import "./theme/base.css";
import "./parts/parts.css";
import "./charts/charts.css";
import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { RouterProvider } from "react-router/dom";
import { ApiError } from "./api/client";
import { router } from "./routes";
import { theme, variables } from "./theme/theme";

const queries = new QueryClient({
  defaultOptions: { queries: { staleTime: 5_000, retry: (times, error) => times < 1 && !(error instanceof ApiError && error.status < 500), refetchOnWindowFocus: true } },
});

/** The one that the content security policy of this answer names; Mantine's style elements carry it (vite.config.ts). */
const nonce = document.querySelector<HTMLMetaElement>("meta[property=csp-nonce]")?.nonce ?? "";

/** Clients of MLflow's protocol print addresses of its own pages: they lead to the page here that shows the same. */
const theirs = /^#\/(?:experiments\/(\d+)(?:\/runs\/([^/?]+))?|models\/([^/?]+)(?:\/versions\/(\d+))?)/.exec(window.location.hash);
if (theirs !== null) {
  const [, experiment, run, model, version] = theirs;
  const here = run ? `/runs/${run}` : experiment ? `/runs?where=${encodeURIComponent(`experiment_id = '${experiment}'`)}` : `/models/${model ?? ""}${version ? `/versions/${version}` : ""}`;
  window.location.replace(here);
}

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");

createRoot(root).render(
  <StrictMode>
    <MantineProvider theme={theme} cssVariablesResolver={variables} defaultColorScheme="auto" getStyleNonce={() => nonce}>
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
