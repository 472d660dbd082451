"""A release is one unit with one id, and no byte of it can change unseen."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.factories.release import release, trained

from tonnage.errors import IntegrityError, NotFoundError, RequirementError
from tonnage.index import variants_for
from tonnage.releases.manifest import Manifest
from tonnage.releases.release import Release, open_release
from tonnage.releases.writing import write_release

TIMES = {"index": {"__all__": {"latency_ms"}}}
"""What is measured with a clock, and so differs from run to run."""


@pytest.fixture
def small(tmp_path: Path) -> Release:
    return release(tmp_path / "releases")


def test_the_same_training_result_has_the_same_id_and_the_same_bytes(tmp_path: Path):
    """Otherwise every run of the pipeline would roll every pod."""
    first, second = release(tmp_path / "a"), release(tmp_path / "b")
    assert first.id == second.id
    assert first.manifest.files == second.manifest.files
    assert first.manifest.model_dump(exclude=TIMES) == second.manifest.model_dump(exclude=TIMES)


def test_any_other_content_has_another_id(tmp_path: Path):
    result = trained()
    others = [
        result,
        replace(result, alpha=41.0),
        replace(result, item_vectors=result.item_vectors + 1),
        replace(result, ranker=result.ranker + b" "),
        replace(result, vocabularies={"country": ["France"]}),
        replace(result, replay=False),
    ]
    assert len({write_release(each, tmp_path).id for each in others}) == len(others)


def test_the_id_names_the_day_of_the_data(small: Release):
    assert small.id.startswith("r-20111209-")
    assert small.id.endswith(small.manifest.digest[:8])


def test_what_was_trained_comes_back(small: Release):
    result = trained()
    for name in ("item_vectors", "gram", "neighbour_rows", "neighbour_weights"):
        np.testing.assert_array_equal(getattr(small, name), getattr(result, name))
    assert small.items.equals(result.items)
    assert small.ranker_path.read_bytes() == result.ranker
    assert small.row_of["10003"] == 3
    assert list(small.row_of) == result.items["item_id"].to_pylist()
    assert small.item_features.shape == (60, len(result.names.item))
    assert small.item_features.dtype == np.float32


def test_arrays_are_mapped_not_copied(small: Release):
    """A pod's memory plan counts the vectors once, in the page cache."""
    assert isinstance(small.item_vectors, np.memmap)
    assert not small.item_vectors.flags.writeable


def test_writing_again_leaves_the_files_that_pods_have_mapped(small: Release):
    inode = (small.directory / "items.arrow").stat().st_ino
    write_release(trained(), small.directory.parent)
    assert (small.directory / "items.arrow").stat().st_ino == inode


def test_writing_again_repairs_a_damaged_copy(small: Release):
    (small.directory / "ranker.ubj").unlink()
    assert write_release(trained(), small.directory.parent).id == small.id


def _every_file(release: Release) -> list[str]:
    return [*release.manifest.files, "release.json"]


@pytest.mark.parametrize("position", ["first", "middle", "last"])
def test_one_flipped_bit_anywhere_is_found(small: Release, position: str):
    for name in _every_file(small):
        path = small.directory / name
        whole = path.read_bytes()
        at = {"first": 0, "middle": len(whole) // 2, "last": len(whole) - 2}[position]
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises((IntegrityError, RequirementError), match=name):
            open_release(small.directory)
        path.write_bytes(whole)
    open_release(small.directory)


def test_the_message_says_which_digest_was_expected_and_which_was_found(small: Release):
    path = small.directory / "retrieval/item_vectors.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"?")
    with pytest.raises(IntegrityError) as caught:
        open_release(small.directory)
    promised = small.manifest.files["retrieval/item_vectors.npy"].sha256
    assert promised in str(caught.value.context["expected"])
    assert promised not in str(caught.value.context["actual"])


def test_a_truncated_file_is_found_without_reading_it(small: Release):
    path = small.directory / "ranker.ubj"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=r"ranker\.ubj"):
        open_release(small.directory, verify=False)


def test_a_missing_file_is_named(small: Release):
    (small.directory / "retrieval/gram.npy").unlink()
    with pytest.raises(IntegrityError, match=r"retrieval/gram\.npy is missing"):
        open_release(small.directory)


@pytest.mark.parametrize("name", ["sitecustomize.py", "retrieval/more.npy"])
def test_a_file_that_does_not_belong_is_named(small: Release, name: str):
    (small.directory / name).write_text("print('hello')")
    with pytest.raises(IntegrityError, match="does not belong"):
        open_release(small.directory)


def test_a_changed_metric_in_the_manifest_is_found(small: Release):
    """The numbers that decide a promotion are under the same digest as the vectors."""
    path = small.directory / "release.json"
    path.write_text(path.read_text().replace('"ndcg@10": 0.4', '"ndcg@10": 0.9'))
    with pytest.raises(IntegrityError, match="changed after it was written"):
        open_release(small.directory)


@pytest.mark.parametrize(("version", "advice"), [(1, "Train again"), (3, "Use the version that wrote it")])
def test_a_manifest_of_another_version_says_what_to_do(small: Release, version: int, advice: str):
    path = small.directory / "release.json"
    path.write_text(path.read_text().replace('"schema_version": 2', f'"schema_version": {version}'))
    with pytest.raises(RequirementError, match=f"schema version {version}.*{advice}"):
        open_release(small.directory)


def test_a_service_reads_only_the_files_that_it_names(small: Release):
    """A pod that serves int8 from 512 MiB must not pull the float32 table through its memory first."""
    vectors, gram = small.directory / "retrieval/item_vectors.npy", small.directory / "retrieval/gram.npy"
    for path in (vectors, gram):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(IntegrityError, match="gram"):
        open_release(small.directory, only=["retrieval/gram.npy"])
    gram.write_bytes(gram.read_bytes()[:-1] + bytes([gram.read_bytes()[-1] ^ 1]))
    open_release(small.directory, only=["retrieval/gram.npy"])
    vectors.write_bytes(vectors.read_bytes() + b"longer")
    with pytest.raises(IntegrityError, match="item_vectors"):
        open_release(small.directory, only=["retrieval/gram.npy"])


def test_every_variant_is_measured_recorded_and_opens(small: Release):
    names = [each.name for each in small.manifest.index]
    assert names == list(variants_for(60))
    for each in small.manifest.index:
        assert set(each.files) <= small.manifest.files.keys()
        assert each.disk_bytes == sum(small.manifest.files[file].bytes for file in each.files)
        assert small.open_index(each.name).search(small.item_vectors[0], 5)[0][0] >= 0
    assert small.manifest.index[0].recall_at_100 == 1


def test_a_variant_that_was_not_made_is_named_with_those_that_were(small: Release):
    with pytest.raises(NotFoundError, match=r"no index variant hnsw-f32.*exact-f32"):
        small.open_index("hnsw-f32")


def test_an_array_of_objects_is_refused_even_with_the_right_digest(small: Release):
    """Loading one would run whatever code was pickled into it."""
    result = replace(trained(), items=trained().items)
    written = write_release(result, small.directory.parent)
    np.save(written.directory / "retrieval/gram.npy", np.array([{}], dtype=object), allow_pickle=True)
    _sign_again(written)
    with pytest.raises(IntegrityError, match="cannot be read"):
        open_release(written.directory)


def _sign_again(written: Release) -> None:
    """What somebody would do who can write the directory and knows the format."""
    from tonnage.releases.writing import _digests

    (written.directory / "release.json").unlink()
    content = dict(written.manifest) | {"files": _digests(written.directory)}
    for derived in ("schema_version", "id", "digest"):
        content.pop(derived)
    (written.directory / "release.json").write_text(Manifest.of(**content).as_json())


def test_parts_that_do_not_fit_each_other_are_never_written(tmp_path: Path):
    result = trained()
    with pytest.raises(IntegrityError, match=r"item_vectors\.npy does not fit"):
        write_release(replace(result, item_vectors=result.item_vectors[:-1]), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_without_a_release_says_so(tmp_path: Path):
    with pytest.raises(NotFoundError, match=r"no release\.json"):
        open_release(tmp_path)


def test_numbers_that_json_cannot_say_become_null(tmp_path: Path):
    """An interval over no users is NaN; strict JSON parsers would refuse the whole manifest."""
    assert release(tmp_path, ndcg=float("nan")).manifest.evaluation.results["rows"][0]["ndcg@10"] is None


def test_the_order_of_vocabularies_is_under_the_digest(small: Release):
    """It is the order of the ranker's columns: swapped, every prediction would be nonsense."""
    result = trained(vocabularies={"country": ["France"], "age_band": ["18-24"]})
    written = write_release(result, small.directory.parent)
    assert list(written.manifest.vocabularies) == ["country", "age_band"]
    path = written.directory / "release.json"
    content = json.loads(path.read_text())
    content["vocabularies"] = dict(reversed(content["vocabularies"].items()))
    path.write_text(json.dumps(content))
    with pytest.raises(IntegrityError, match="changed after it was written"):
        open_release(written.directory)
