"""Route a command line to its file. No command's code is imported until its name is known, so help costs nothing. The program `noria`."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from noria.errors import NoriaError

COMMANDS: dict[str, str] = {
    "demo": "run the whole loop on a year of real flights, then open the pages",
    "init": "start a project in this folder",
    "up": "start the server, the pages, the workers and the loop",
    "serve": "answer predictions for one model, version or folder, without a server",
    "status": "show the loop: six stations, what changed, what needs you",
    "run": "run a pipeline file, list the runs, or show one",
    "sync": "send what runs recorded while their store was away",
    "data": "list dataset versions, add a file as one, show one, compare two",
    "models": "list and search models, ask who was champion when, move aliases, tag, approve",
    "deploy": "let a version answer under a name, at once or as a canary; --dry-run says what would follow",
    "plan": "show what noria apply would change of what noria.toml declares",
    "apply": "make stand what noria.toml declares",
    "rollback": "let an earlier version answer alone, at once",
    "stop": "pull the stop switch of a deployment: its fallback answers until it is resumed",
    "resume": "let a stopped deployment go on",
    "retrain": "ask for a training by hand; gates and canary decide what becomes of it",
    "override": "end a running rollout by a person's word",
    "package": "show a bundle, write it out for MLflow, make one of what MLflow's clients logged",
    "feedback": "say that an answer was good or bad, or what it should have been; show what was said",
    "monitor": "compare two tables, verdict first; no server needed",
    "dashboards": "write Grafana's dashboards and Prometheus's rules as files",
    "alerts": "list what stands, acknowledge, snooze, resolve; who is told",
    "triggers": "list what besides alarms asks for trainings, and when it is due; read a line of cron",
    "why": "explain one prediction, event or alert, back to the data",
    "replay": "what another retraining policy would have done over recorded history",
    "errors": "find where a deployment's answers are wrong, and examples to look at",
    "shadow": "show what a model in the shadow would have answered, beside what callers got",
    "inputs": "show what a model was asked, day by day, and whether inputs are computed as in training",
    "audit": "verify or export the ledger",
    "gc": "empty the trash and give back the space of what nothing needs",
    "doctor": "check this installation and name a fix for each fault",
}


def parser() -> argparse.ArgumentParser:
    """The parser with every command named but none imported."""
    top = argparse.ArgumentParser(
        prog="noria",
        description="Noria takes a model the whole way round: data, training, gates, deployment, monitoring, and back.",
        epilog="next: noria demo",
    )
    top.add_argument("--version", action="store_true", help="print the version and stop")
    commands = top.add_subparsers(dest="command", metavar="command")
    for name, purpose in COMMANDS.items():
        commands.add_parser(name, help=purpose, add_help=False)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 well, 1 a NoriaError, 2 a wrong command line, 3 a finding (audit, doctor), 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in COMMANDS:
        return _run(given[0], given[1:])
    options = parser().parse_args(given)
    if options.version:
        from noria import __version__

        print(f"noria {__version__}")
        return 0
    parser().print_help()
    return 2


def command(name: str) -> tuple[ModuleType, argparse.ArgumentParser]:
    """A command's module, imported now, and its parser."""
    module = import_module(f"noria.cli.{name}")
    its = argparse.ArgumentParser(prog=f"noria {name}", description=COMMANDS[name])
    module.configure(its)
    its.add_argument("--json", action="store_true", help="print the result as one JSON object")
    its.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return module, its


def _run(name: str, rest: list[str]) -> int:
    module, its = command(name)
    options = its.parse_args(rest)
    try:
        return int(module.run(options))
    except NoriaError as error:
        if options.debug:
            raise
        from noria.cli.show import failure

        return failure(error, as_json=options.json)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0


if __name__ == "__main__":
    sys.exit(main())
