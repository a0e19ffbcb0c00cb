"""Human names for runs, derived from their id: the same id has the same name everywhere. Pure. Called by tracking/recorder and loop/stages."""

from blake3 import blake3

ADJECTIVES = (
    "amber brisk calm clear crisp deft eager early fair fleet fond gentle glad grand hardy keen kind light lively lucid "
    "mellow merry mild neat nimble noble open patient plain proud quick quiet ready rosy sharp silver sleek smart solid "
    "spry steady still sunny swift tidy trim true vivid warm wise"
)
CREATURES = (
    "ant auk bat bear bee bison boar carp cat crab crane crow deer dove duck eagle eel elk emu finch fox frog gecko goat "
    "goose gull hare hawk heron ibis jay kite koi lark lion lynx mole moth newt otter owl pike quail raven robin seal swan "
    "tern toad trout wolf wren yak"
)


def human_name(run_id: str) -> str:
    """Two words and a number that people can say and remember.

    >>> human_name("0" * 32) == human_name("0" * 32)
    True
    """
    digest = blake3(run_id.encode()).digest()
    words = [_chosen(ADJECTIVES.split(), digest[:4]), _chosen(CREATURES.split(), digest[4:8])]
    return f"{words[0]}-{words[1]}-{int.from_bytes(digest[8:12], 'big') % 100}"


def _chosen(words: list[str], digest: bytes) -> str:
    return words[int.from_bytes(digest, "big") % len(words)]
