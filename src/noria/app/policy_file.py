"""Read a retraining policy from a TOML file of its own, or from a noria.toml. Pure but for reading the file. Called by `noria replay`."""

import tomllib
from pathlib import Path

import msgspec

from noria.domain.policy import Policy
from noria.errors import NotFound, SettingInvalid


def read_policy(path: Path, deployment: str, base: Policy) -> Policy:
    """The policy that a file means for a deployment, over what stands. Raises NotFound, SettingInvalid naming the key."""
    if not path.is_file():
        raise NotFound(f"no file {str(path)!r}", remedy="write the policy to a TOML file, e.g. cooldown_days = 7")
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SettingInvalid(f"{path.name} is not valid TOML", cause=str(exc), remedy=f"correct {path}") from exc
    own = given.get("deployments", {}).get(deployment, {}).get("policy")
    found = own if own is not None else given.get("policy", given)
    unknown = sorted(set(found) - set(Policy.__struct_fields__)) if isinstance(found, dict) else [str(found)]
    if unknown:
        raise SettingInvalid(
            f"{path.name} has no policy for {deployment!r}: {unknown[0]!r} is none of its keys",
            cause=f"a policy has {', '.join(Policy.__struct_fields__)}",
            remedy=f"correct {path}",
        )
    try:
        policy: Policy = msgspec.convert({**msgspec.to_builtins(base), **found}, Policy)
    except msgspec.ValidationError as exc:
        raise SettingInvalid(
            f"{path.name} has a policy that cannot be", cause=str(exc), remedy=f"correct {path}"
        ) from exc
    return policy
