"""The dashboard of the machines that Noria runs on: what is short, what waits, what is more than needed. Told by server/host_metrics."""

from noria.app.dashboards.panel import Dashboard, Panel, Query, Row, Variable

RATE = "[$__rate_interval]"
ON = '{instance=~"$instance"}'
NO_CONTAINER = "not in a container with a limit"
NO_GPU = "there is no graphics processor"

_SHORT = Row(
    "What is short",
    (
        Panel(
            title="Waiting for processors, disk, memory",
            unit="percentunit",
            width=12,
            low=0,
            warn=0.5,
            queries=(
                Query(
                    f'rate(noria_host_pressure_seconds_total{{instance=~"$instance",share="some"}}{RATE})',
                    "{{resource}} {{instance}}",
                    seldom="the kernel does not tell of pressure",
                ),
            ),
            text="Share of time in which something could have run and waited: where the bottleneck is. Needs Linux 4.20 or newer.",
        ),
        Panel(
            title="Processors: busy",
            unit="percentunit",
            width=6,
            low=0,
            high=1,
            queries=(
                Query(
                    f'1 - sum by (instance) (rate(noria_host_cpu_seconds_total{{instance=~"$instance",mode=~"idle|iowait"}}{RATE}))'
                    f" / sum by (instance) (rate(noria_host_cpu_seconds_total{ON}{RATE}))",
                    "{{instance}}",
                ),
            ),
            text="Below a tenth all day: the machine is larger than it needs to be.",
        ),
        Panel(
            title="Memory: taken",
            unit="percentunit",
            width=6,
            low=0,
            high=1,
            bad=0.95,
            queries=(
                Query(f"1 - noria_host_memory_available_bytes{ON} / noria_host_memory_bytes{ON}", "{{instance}}"),
                Query(f"noria_host_limit_memory_used_bytes{ON} / noria_host_limit_memory_bytes{ON}", "container {{instance}}", NO_CONTAINER),
            ),
            text="A process that is taken over its container's limit is killed.",
        ),
    ),
)  # fmt: skip
_PROCESSORS = Row(
    "Processors",
    (
        Panel(
            title="By what they do",
            stacked=True,
            queries=(Query(f"sum by (mode) (rate(noria_host_cpu_seconds_total{ON}{RATE}))", "{{mode}}"),),
            text="Processors. iowait: idle, waiting for a disk. steal: taken by other machines of the same host.",
        ),
        Panel(
            title="Load",
            queries=(
                Query(f"noria_host_load{ON}", "{{minutes}} min {{instance}}"),
                Query(f"noria_host_processors{ON}", "threshold {{instance}}"),
            ),
            text="Processes that run or wait. Above the dashed line some wait.",
        ),
        Panel(
            title="Kept from processors",
            unit="percentunit",
            queries=(Query(f"rate(noria_host_throttled_seconds_total{ON}{RATE})", "{{instance}}", NO_CONTAINER),),
            text="A container that had used up its share.",
        ),
    ),
)
_DISKS = Row(
    "Disks and network",
    (
        Panel(
            title="Free on the home's disk",
            unit="bytes",
            low=0,
            queries=(
                Query(f"noria_host_disk_free_bytes{ON}", "{{instance}}"),
                Query(f"predict_linear(noria_host_disk_free_bytes{ON}[6h], 86400)", "in a day {{instance}}"),
            ),
            text="`noria gc` gives back the space of what nothing needs.",
        ),
        Panel(
            title="Disks: busy",
            unit="percentunit",
            low=0,
            high=1,
            queries=(Query(f"rate(noria_host_disk_busy_seconds_total{ON}{RATE})", "{{device}} {{instance}}", "no disk of its own"),),
            text="Share of time in which a disk had something to do.",
        ),
        Panel(
            title="Read and written",
            unit="Bps",
            queries=(
                Query(f"rate(noria_host_disk_read_bytes_total{ON}{RATE})", "read {{device}}", "no disk of its own"),
                Query(f"rate(noria_host_disk_written_bytes_total{ON}{RATE})", "written {{device}}", "no disk of its own"),
            ),
            text="Bytes a second.",
        ),
        Panel(
            title="Network",
            unit="Bps",
            queries=(
                Query(f"rate(noria_host_network_received_bytes_total{ON}{RATE})", "in {{device}}"),
                Query(f"rate(noria_host_network_sent_bytes_total{ON}{RATE})", "out {{device}}"),
            ),
            text="Bytes a second.",
        ),
        Panel(
            title="Swap",
            unit="bytes",
            queries=(Query(f"noria_host_swap_bytes{ON} - noria_host_swap_free_bytes{ON}", "{{instance}}"),),
            text="Memory that was put on a disk.",
        ),
        Panel(
            title="Graphics processors",
            unit="percentunit",
            low=0,
            high=1,
            queries=(
                Query(f"noria_host_gpu_busy_ratio{ON}", "busy {{gpu}} {{name}}", NO_GPU),
                Query(f"noria_host_gpu_memory_used_bytes{ON} / noria_host_gpu_memory_bytes{ON}", "memory {{gpu}} {{name}}", NO_GPU),
            ),
            text="Share of time in which it computed, and of its memory.",
        ),
    ),
)  # fmt: skip

MACHINE = Dashboard(
    uid="noria-machine",
    title="Noria / Machines",
    text="Processors, memory, disks, network and pressure of the machines that Noria runs on.",
    variables=(Variable("instance", "noria_host_processors", "instance", "Machine"),),
    rows=(_SHORT, _PROCESSORS, _DISKS),
)
