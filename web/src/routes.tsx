import { createBrowserRouter } from "react-router";
import type { ComponentType } from "react";
import { NotFound, PageError } from "./shell/PageError";
import { Shell } from "./shell/Shell";

/** A page is fetched when it is first visited. */
const page = (load: () => Promise<{ default: ComponentType }>) => async () => ({ Component: (await load()).default });

export const router = createBrowserRouter([
  {
    path: "/",
    Component: Shell,
    HydrateFallback: () => null,
    children: [
      {
        ErrorBoundary: PageError,
        children: [
          { index: true, lazy: page(() => import("./pages/HomePage")) },
          { path: "runs", lazy: page(() => import("./pages/RunsPage")) },
          { path: "runs/:runId", lazy: page(() => import("./pages/RunPage")) },
          { path: "compare", lazy: page(() => import("./pages/ComparePage")) },
          { path: "models", lazy: page(() => import("./pages/ModelsPage")) },
          { path: "models/:modelName", lazy: page(() => import("./pages/ModelPage")) },
          { path: "models/:modelName/versions/:versionNumber", lazy: page(() => import("./pages/ModelVersionPage")) },
          { path: "deployments", lazy: page(() => import("./pages/DeploymentsPage")) },
          { path: "deployments/:deploymentName", lazy: page(() => import("./pages/DeploymentPage")) },
          { path: "deployments/:deploymentName/watch", lazy: page(() => import("./pages/WatchPage")) },
          { path: "deployments/:deploymentName/quality", lazy: page(() => import("./pages/QualityPage")) },
          { path: "deployments/:deploymentName/inputs", lazy: page(() => import("./pages/InputsPage")) },
          { path: "deployments/:deploymentName/shadow", lazy: page(() => import("./pages/ShadowPage")) },
          { path: "deployments/:deploymentName/deliveries/:deliveryId", lazy: page(() => import("./pages/DeliveryPage")) },
          { path: "alerts", lazy: page(() => import("./pages/AlertsPage")) },
          { path: "why", lazy: page(() => import("./pages/WhyPage")) },
          { path: "why/:predictionId", lazy: page(() => import("./pages/PredictionPage")) },
          { path: "ledger", lazy: page(() => import("./pages/LedgerPage")) },
          { path: "*", Component: NotFound },
        ],
      },
    ],
  },
]);
