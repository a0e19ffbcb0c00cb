"""PyTorch under the suite of the port. PyTorch is locked nowhere: these tests are skipped where it is not installed."""

import json
import zipfile

import numpy as np
import pytest

from noria.adapters.flavors import onnx
from noria.adapters.flavors import torch as flavor
from noria.errors import BundleError, BundleRefused, RequestInvalid
from noria.packaging.convert import to_onnx
from noria.packaging.parity import parity
from noria.packaging.signature import flat, infer_signature
from noria.testing.flavor_suite import FlavorCase, FlavorSuite

torch = pytest.importorskip("torch", reason="PyTorch is not installed here: pip install 'noria[torch]'")
nn = torch.nn
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
ROWS = 24


def numbers(*shape):
    return np.random.default_rng(len(shape)).normal(size=(ROWS, *shape)).astype(np.float32)


def seeded(make):
    torch.manual_seed(4)
    return make().eval()


class TwoHeads(nn.Module):
    """Two inputs, one of them an index; two outputs."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(7, 4), nn.Linear(5, 3)

    def forward(self, x, city):
        logits = self.head(torch.cat([x, self.embed(city).flatten(1)], 1))
        return torch.softmax(logits, 1), logits.sum(1)


class Sequence(nn.Module):
    """What unrolls and attends."""

    def __init__(self):
        super().__init__()
        self.recall, self.attend = (
            nn.LSTM(3, 4, batch_first=True),
            nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
        )
        self.head = nn.Linear(4, 1)

    def forward(self, x):
        return self.head(self.attend(self.recall(x)[0])[:, -1])


def dense():
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 1), nn.Sigmoid())


def picture():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 10))


def models():
    """name -> (module, columns, names of the outputs)."""
    return {
        "columns side by side": (seeded(dense), {f"x{i}": numbers()[:ROWS] for i in range(3)}, ("p",)),
        "two inputs, two outputs": (seeded(TwoHeads), {"x": numbers(), "city": np.arange(ROWS) % 7}, ("q", "sum")),
        "pictures": (seeded(picture), {"picture": numbers(3, 8, 8)}, ("logits",)),
        "sequences": (seeded(Sequence), {"steps": numbers(5, 3)}, ("y",)),
    }


def a_case(name):
    module, columns, names = models()[name]
    given = [torch.from_numpy(v.reshape(ROWS, -1) if v.ndim == 1 else v) for v in columns.values()]
    given = [torch.cat(given, 1)] if name == "columns side by side" else given
    with torch.no_grad():
        answers = module(*given)
    several = answers if isinstance(answers, tuple) else (answers,)
    shaped = {
        n: a.numpy().squeeze(1) if a.ndim == 2 and a.shape[1] == 1 else a.numpy()
        for n, a in zip(names, several, strict=True)
    }
    signature = infer_signature(columns, shaped)
    return FlavorCase(
        flavor=flavor.FLAVOR,
        module=flavor.__name__,
        package="torch",
        model=module,
        signature=signature,
        columns=flat(columns, signature),
        answers=shaped,
        tolerance=1e-5,
    )


class TestTorch(FlavorSuite):
    @pytest.fixture(params=["columns side by side", "two inputs, two outputs"])
    def case(self, request):
        return a_case(request.param)


@pytest.mark.parametrize("name", list(models()))
def test_modules_are_kept_and_become_onnx_that_answers_alike(tmp_path, name):
    pytest.importorskip("onnxscript", reason="PyTorch's exporter to ONNX needs onnxscript")
    case = a_case(name)
    kept = flavor.FLAVOR.load(case.saved(tmp_path / "model"), case.signature)
    (tmp_path / "onnx").mkdir()
    onnx.FLAVOR.save(to_onnx(case.model, case.signature), case.signature, tmp_path / "onnx")

    verdict = parity(
        kept.predict,
        onnx.FLAVOR.load(tmp_path / "onnx", case.signature).predict,
        case.columns,
        signature=case.signature,
    )

    assert verdict.passed, verdict.reason
    for output, expected in case.answers.items():
        np.testing.assert_allclose(kept.predict(case.columns)[output], expected, atol=1e-5)


def test_packaging_leaves_the_module_in_the_mode_it_was_in(tmp_path):
    module = dense().train()
    signature = infer_signature({"x": numbers(3)}, {"p": np.zeros(1, np.float32)})

    flavor.FLAVOR.save(module, signature, tmp_path)

    assert module.training


def test_an_exported_program_is_kept_as_it_is(tmp_path):
    rows = ({0: torch.export.Dim("rows")},)
    program = torch.export.export(seeded(dense), (torch.zeros(2, 3),), dynamic_shapes=rows)
    signature = infer_signature({"x": numbers(3)}, {"p": np.zeros(1, np.float32)})

    flavor.FLAVOR.save(program, signature, tmp_path)
    answers = flavor.FLAVOR.load(tmp_path, signature).predict({"x": numbers(3)})["p"]

    expected = seeded(dense)(torch.from_numpy(numbers(3))).detach().numpy()[:, 0]
    np.testing.assert_allclose(answers, expected, atol=1e-6)


class Noise(nn.Module):
    def forward(self, x):
        return x + torch.rand_like(x)


class Chooses(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (Noise(), "rand_like"),
        (Chooses(), "cannot be exported"),
        (torch.export.export(seeded(dense), (torch.zeros(2, 3),)), "does not answer alike"),
    ],
    ids=["draws at random", "chooses by its data", "a fixed number of rows"],
)
def test_what_cannot_be_kept_is_refused_with_the_reason(tmp_path, model, why):
    signature = infer_signature({"x": numbers(3)}, {"p": np.zeros((1, 3), np.float32)})

    with pytest.raises(BundleRefused, match=why):
        flavor.FLAVOR.save(model, signature, tmp_path)


def test_an_index_beyond_the_embedding_is_the_requests_fault(tmp_path):
    case = a_case("two inputs, two outputs")
    predictor = flavor.FLAVOR.load(case.saved(tmp_path / "model"), case.signature)

    with pytest.raises(RequestInvalid):
        predictor.predict({**case.columns, "city": np.full(ROWS, 999)})


def changed(file, change):
    """Rewrite the program inside an archive."""
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in parts if name.endswith("models/model.json"))
    weights = next(name for name in parts if name.endswith("model_weights_config.json"))
    program, config = json.loads(parts[name]), json.loads(parts[weights])
    change(program["graph_module"]["graph"]["nodes"], config["config"])
    parts |= {name: json.dumps(program).encode(), weights: json.dumps(config).encode()}
    with zipfile.ZipFile(file, "w") as archive:
        for part, content in parts.items():
            archive.writestr(part, content)


@pytest.mark.parametrize(
    "target",
    [
        "torch.hub.load",
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.rand.default",
        "torch.ops.aten.__class__.default",
        "_operator.methodcaller",
        "math.exp",
        "builtins.eval",
        "",
    ],
)
def test_no_other_function_than_a_core_operator_is_run_from_a_file(tmp_path, target):
    case = a_case("columns side by side")
    saved = case.saved(tmp_path / "model")
    changed(saved / flavor.FILE, lambda nodes, _: nodes[0].update(target=target))

    with pytest.raises(BundleError):
        flavor.FLAVOR.load(saved, case.signature)


def test_weights_kept_as_pickles_are_refused(tmp_path):
    case = a_case("columns side by side")
    saved = case.saved(tmp_path / "model")
    changed(saved / flavor.FILE, lambda _, weights: next(iter(weights.values())).update(use_pickle=True))

    with pytest.raises(BundleRefused, match="pickle"):
        flavor.FLAVOR.load(saved, case.signature)


def test_expressions_in_the_file_are_not_evaluated(tmp_path):
    """PyTorch's own loader hands them to sympy, which evaluates them."""
    case, ran = a_case("columns side by side"), tmp_path / "ran"
    saved = case.saved(tmp_path / "model")
    before = flavor.FLAVOR.load(saved, case.signature).predict(case.columns)["p"]
    evil = f"__import__('os').mkdir({str(ran)!r})"
    file = saved / flavor.FILE
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in parts if name.endswith("models/model.json"))
    document = json.loads(parts[name])
    for about in document["graph_module"]["graph"]["tensor_values"].values():
        for size in about["sizes"]:
            if "as_expr" in size:
                size["as_expr"]["expr_str"] = evil
    with zipfile.ZipFile(file, "w") as archive:
        for part, content in parts.items():
            archive.writestr(part, json.dumps(document) if part == name else content)

    assert evil in json.dumps(document) or str(ran) in json.dumps(document)
    assert np.array_equal(flavor.FLAVOR.load(saved, case.signature).predict(case.columns)["p"], before)
    assert not ran.exists()
