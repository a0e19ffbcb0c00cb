import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { get } from "./client";

/** One hook for each thing that pages read. What changes by itself is asked for again while its page is open. */
const LIVE = 5_000;

export const useStatus = () => useQuery({ queryKey: ["status"], queryFn: ({ signal }) => get("/api/v1/status", { signal }), refetchInterval: LIVE });
export const useSession = () => useQuery({ queryKey: ["session"], queryFn: ({ signal }) => get("/api/v1/session", { signal }), staleTime: Infinity });

export interface RunsAsked {
  experiment?: string;
  status?: string;
  search?: string;
  where?: string;
  metric?: string;
  order: string;
  limit: number;
  offset: number;
}
export const useRuns = (asked: RunsAsked) =>
  useQuery({
    queryKey: ["runs", asked],
    queryFn: ({ signal }) => get("/api/v1/runs", { query: { ...asked }, signal }),
    placeholderData: keepPreviousData,
    refetchInterval: LIVE,
  });
export const useRun = (id: string) => useQuery({ queryKey: ["run", id], queryFn: ({ signal }) => get("/api/v1/runs/{run_id}", { path: { run_id: id }, signal }) });
export const useSeries = (id: string, key: string) =>
  useQuery({ queryKey: ["series", id, key], queryFn: ({ signal }) => get("/api/v1/runs/{run_id}/metrics/{key}", { path: { run_id: id, key }, signal }) });

export const useModels = () => useQuery({ queryKey: ["models"], queryFn: ({ signal }) => get("/api/v1/models", { signal }) });
export const useModel = (name: string) => useQuery({ queryKey: ["model", name], queryFn: ({ signal }) => get("/api/v1/models/{name}", { path: { name }, signal }) });
export const useVersion = (name: string, number: string) =>
  useQuery({
    queryKey: ["version", name, number],
    queryFn: ({ signal }) => get("/api/v1/models/{name}/versions/{number}", { path: { name, number }, signal }),
  });

export const useAlerts = (state: string) =>
  useQuery({ queryKey: ["alerts", state], queryFn: ({ signal }) => get("/api/v1/alerts", { query: { state }, signal }), placeholderData: keepPreviousData, refetchInterval: LIVE });
export const useReceivers = () => useQuery({ queryKey: ["receivers"], queryFn: ({ signal }) => get("/api/v1/alert-receivers", { signal }), refetchInterval: LIVE });

export const useDeployments = () => useQuery({ queryKey: ["deployments"], queryFn: ({ signal }) => get("/api/v1/deployments", { signal }), refetchInterval: LIVE });
export const useDeployment = (name: string) =>
  useQuery({
    queryKey: ["deployment", name],
    queryFn: ({ signal }) => get("/api/v1/deployments/{name}", { path: { name }, signal }),
    refetchInterval: LIVE,
  });
export const useStanding = (name: string) =>
  useQuery({
    queryKey: ["standing", name],
    queryFn: ({ signal }) => get("/api/v1/deployments/{name}/standing", { path: { name }, signal }),
    refetchInterval: LIVE,
  });
export const useDeliveries = (name: string) =>
  useQuery({
    queryKey: ["deliveries", name],
    queryFn: ({ signal }) => get("/api/v1/deployments/{name}/deliveries", { path: { name }, signal }),
    refetchInterval: LIVE,
  });
export const useTriggers = (name: string) =>
  useQuery({
    queryKey: ["triggers", name],
    queryFn: ({ signal }) => get("/api/v1/deployments/{name}/triggers", { path: { name }, signal }),
    refetchInterval: LIVE,
  });
export const useDelivery = (id: string) =>
  useQuery({
    queryKey: ["delivery", id],
    queryFn: ({ signal }) => get("/api/v1/deliveries/{delivery_id}", { path: { delivery_id: id }, signal }),
    refetchInterval: ({ state }) => (state.data?.delivery.outcome === "running" ? LIVE : false),
    retry: false,
  });
export const useInputs = (name: string, days: number) =>
  useQuery({
    queryKey: ["inputs", name, days],
    queryFn: ({ signal }) => get("/api/v1/deployments/{name}/inputs", { path: { name }, query: { days }, signal }),
    placeholderData: keepPreviousData,
    staleTime: 30_000,
    retry: false,
  });
export const useShadow = (name: string, days: number, until: string | undefined) =>
  useQuery({
    queryKey: ["shadow", name, days, until],
    queryFn: ({ signal }) => get("/api/v1/deployments/{name}/shadow", { path: { name }, query: { days, until: until === "" ? undefined : until }, signal }),
    enabled: until !== undefined,
    placeholderData: keepPreviousData,
    staleTime: 30_000,
    retry: false,
  });
export const useQualityWindows = (name: string, count: number) =>
  useQuery({
    queryKey: ["quality-windows", name, count],
    queryFn: ({ signal }) => get("/api/v1/deployments/{name}/quality/windows", { path: { name }, query: { count }, signal }),
    placeholderData: keepPreviousData,
    staleTime: 30_000,
  });
export const useFeedback = (name: string) =>
  useQuery({ queryKey: ["feedback", name], queryFn: ({ signal }) => get("/api/v1/deployments/{name}/feedback", { path: { name }, query: { limit: 50 }, signal }) });
export const useQuality = (name: string) =>
  useQuery({
    queryKey: ["quality", name],
    queryFn: ({ signal }) => get("/api/v1/deployments/{name}/quality", { path: { name }, signal }),
    staleTime: 30_000,
  });
export const useWatch = (name: string) =>
  useQuery({ queryKey: ["watch", name], queryFn: ({ signal }) => get("/api/v1/deployments/{name}/watch", { path: { name }, signal }), staleTime: 30_000 });
export const useErrors = (name: string) =>
  useQuery({ queryKey: ["errors", name], queryFn: ({ signal }) => get("/api/v1/deployments/{name}/errors", { path: { name }, signal }), staleTime: 60_000, retry: false });
export const usePredictions = (name: string, limit: number) =>
  useQuery({
    queryKey: ["predictions", name, limit],
    queryFn: ({ signal }) => get("/api/v1/deployments/{name}/predictions", { path: { name }, query: { limit }, signal }),
    enabled: name !== "",
  });

export const useWhy = (id: string) =>
  useQuery({ queryKey: ["why", id], queryFn: ({ signal }) => get("/api/v1/why/{prediction_id}", { path: { prediction_id: id }, signal }), staleTime: 60_000 });
export const useEvents = (after: number, limit: number, newest: boolean) =>
  useQuery({
    queryKey: ["events", after, limit, newest],
    queryFn: ({ signal }) => get("/api/v1/events", { query: { after, limit, newest }, signal }),
    placeholderData: keepPreviousData,
  });
export const useAudit = (asked: boolean) =>
  useQuery({ queryKey: ["audit"], queryFn: ({ signal }) => get("/api/v1/audit/verify", { signal }), enabled: asked, staleTime: 0 });
