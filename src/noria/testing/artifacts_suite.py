"""The law of the ArtifactIndex port as tests. Subclass ArtifactsSuite where a fixture `metadata` gives an empty store."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from noria.domain.run import Artifact
from noria.errors import InputInvalid, NotFound, PathRefused
from noria.ports.artifacts import ArtifactIndex
from noria.ports.metadata import Metadata
from noria.testing.runs_suite import a_file, a_run

BAD_PATHS = ("", "/", "/a", "a/", "a//b", ".", "a/./b", "..", "a/../b", "a\\b", "a\nb", "a\0b", "%2e%2e/a")


class ArtifactsSuite:
    """Laws that every index of files keeps."""

    @pytest.fixture
    def artifacts(self, metadata: Metadata) -> ArtifactIndex:
        """An empty index."""
        return metadata.artifacts

    def paths(self, found: list[Artifact]) -> list[str]:
        """Which files these are."""
        return [file.path for file in found]

    def test_a_file_stands_where_it_was_put_and_can_be_replaced(self, artifacts: ArtifactIndex) -> None:
        artifacts.put([a_file("a/b", "1"), a_file("a/c", "2")])
        artifacts.put([a_file("a/b", "33")])

        assert artifacts.get("a/b") == a_file("a/b", "33")
        assert self.paths(artifacts.under("")) == ["a/b", "a/c"]
        artifacts.put([])

    def test_what_is_not_there_is_not_found(self, artifacts: ArtifactIndex) -> None:
        artifacts.put([a_file("a/b")])

        for path in ("a", "a/b/c", "b"):
            with pytest.raises(NotFound):
                artifacts.get(path)
        assert artifacts.under("b") == []
        assert artifacts.under("a/b") == []
        assert artifacts.children("b") == []
        assert artifacts.children("a/b") == []
        assert artifacts.delete("b") == 0

    @pytest.mark.parametrize("path", BAD_PATHS)
    def test_a_path_that_leads_out_is_refused_by_every_call(self, artifacts: ArtifactIndex, path: str) -> None:
        with pytest.raises(PathRefused):
            artifacts.put([a_file("good"), a_file(path)])
        with pytest.raises(PathRefused):
            artifacts.get(path)
        with pytest.raises(PathRefused):
            artifacts.delete(path)
        if path:
            with pytest.raises(PathRefused):
                artifacts.under(path)
            with pytest.raises(PathRefused):
                artifacts.children(path)
        assert artifacts.under("") == []

    def test_a_size_that_cannot_be_is_refused(self, artifacts: ArtifactIndex) -> None:
        for size in (-1, 2**63):
            with pytest.raises(InputInvalid):
                artifacts.put([replace(a_file("a"), size=size)])

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (["a"], ["a/b"]),
            (["a/b"], ["a"]),
            (["a/b/c"], ["a"]),
            (["a"], ["a/b/c/d"]),
            ([], ["a", "a/b"]),
            ([], ["a/b/c", "a/b"]),
        ],
    )
    def test_nothing_is_file_and_folder_at_once(
        self, artifacts: ArtifactIndex, first: list[str], second: list[str]
    ) -> None:
        artifacts.put([a_file(path) for path in first])

        with pytest.raises(InputInvalid, match="folder"):
            artifacts.put([a_file("other"), *(a_file(path) for path in second)])

        assert self.paths(artifacts.under("")) == first

    def test_names_that_begin_alike_are_no_folders_of_each_other(self, artifacts: ArtifactIndex) -> None:
        paths = ["a/x", "a-b/x", "a.b", "a0", "ab/x", "A/x", "a%/x", "a_/x", "ä/x"]
        artifacts.put([a_file(path) for path in paths])

        assert self.paths(artifacts.under("a")) == ["a/x"]
        assert self.paths(artifacts.under("a_")) == ["a_/x"]
        assert self.paths(artifacts.under("a%")) == ["a%/x"]
        assert self.paths(artifacts.under("")) == sorted(paths)
        assert artifacts.delete("a") == 1
        assert len(artifacts.under("")) == len(paths) - 1

    def test_children_are_files_and_folders_by_name(self, artifacts: ArtifactIndex) -> None:
        for path in ("m/z", "m/a/1", "m/a/2/x", "m/a-b", "m/b/1", "top"):
            artifacts.put([a_file(path)])

        assert artifacts.children("") == [("m", None), ("top", a_file("top"))]
        assert artifacts.children("m") == [
            ("m/a", None),
            ("m/a-b", a_file("m/a-b")),
            ("m/b", None),
            ("m/z", a_file("m/z")),
        ]
        assert artifacts.children("m/a/2") == [("m/a/2/x", a_file("m/a/2/x"))]

    def test_what_is_under_a_folder_comes_in_portions(self, artifacts: ArtifactIndex) -> None:
        artifacts.put([a_file(f"m/{number:02}") for number in range(10)])
        artifacts.put([a_file("l"), a_file("n")])

        first = self.paths(artifacts.under("m", limit=4))
        second = self.paths(artifacts.under("m", limit=4, after=first[-1]))

        assert first + second == [f"m/{number:02}" for number in range(8)]
        assert self.paths(artifacts.under("m", after="m/08")) == ["m/09"]
        assert self.paths(artifacts.under("m", after="a", limit=1)) == ["m/00"]
        assert artifacts.under("m", after="m/09") == []
        assert artifacts.under("m", limit=0) == []

    def test_deleting_takes_a_file_or_a_folder_and_frees_the_path(self, artifacts: ArtifactIndex) -> None:
        artifacts.put([a_file(path) for path in ("m/a/1", "m/a/2", "m/b", "n")])

        assert artifacts.delete("m/b") == 1
        assert artifacts.delete("m/a") == 2
        assert artifacts.delete("m") == 0

        artifacts.put([a_file("m")])
        assert self.paths(artifacts.under("")) == ["m", "n"]

    def test_a_runs_files_stand_below_its_root(self, metadata: Metadata, artifacts: ArtifactIndex) -> None:
        run = metadata.runs.create(a_run())
        metadata.runs.add_artifacts(run.id, [a_file("model/weights")])

        artifacts.put([a_file(f"{run.artifact_root}/plot", "2"), a_file(f"{run.artifact_root}x")])

        assert artifacts.get(f"{run.artifact_root}/model/weights").digest == a_file("x").digest
        assert metadata.runs.get(run.id).artifacts == (a_file("model/weights"), a_file("plot", "2"))
        assert artifacts.delete(run.artifact_root) == 2
        assert metadata.runs.get(run.id).artifacts == ()

    def test_every_content_that_a_path_needs_is_named(self, artifacts: ArtifactIndex) -> None:
        artifacts.put([a_file("a", "1"), a_file("b", "1"), a_file("c", "2"), a_file("d", "3")])
        artifacts.put([a_file("d", "4")])
        artifacts.delete("c")

        assert set(artifacts.digests()) == {"blake3:1", "blake3:4"}

    def test_threads_that_put_files_lose_none_and_none_becomes_a_folder(self, artifacts: ArtifactIndex) -> None:
        def put(thread: int) -> bool:
            artifacts.put([a_file(f"m/{thread}/{number}") for number in range(5)])
            try:
                artifacts.put([a_file("x" if thread % 2 else "x/y")])
            except InputInvalid:
                return False
            return True

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(put, range(6)))

        assert len(artifacts.under("m")) == 30
        assert len(artifacts.under("x")) + len([path for path, file in artifacts.children("") if file]) == 1
