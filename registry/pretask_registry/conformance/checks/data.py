"""What all data promise: what was announced, labels apart from batches, nothing in both parts, and the same every time.

Axes: N samples.
"""

from dataclasses import fields
from hashlib import blake2b

import torch
from pretask import Batch, PretaskError, Samples

from pretask_registry.conformance.check import check, require
from pretask_registry.conformance.checks.splits import check_refusal
from pretask_registry.conformance.kinds import DataCase
from pretask_registry.conformance.material import CPU
from pretask_registry.conformance.tensors import describe

DTYPES = {
    "uint8": {torch.uint8},
    "int64": {torch.int64, torch.int32, torch.int16, torch.int8},  # tokens in the fewest bytes that hold them
    "float32": {torch.float32},
}


@check("data")
def samples_are_what_was_announced(case: DataCase) -> None:
    """Number, shape, type, modality and range of the samples are what `observed` says."""
    for part, samples in case.parts.items():
        seen, modality = samples.observed, case.component.traits["modality"]
        require(seen.modality == modality, f"It declares {modality}; the part '{part}' says {seen.modality}.")
        require(seen.samples == len(samples), f"'{part}' must hold {seen.samples} samples; it holds {len(samples)}.")
        require(len(samples) > 0, f"'{part}' must hold samples; it holds none.")
        wanted = (len(samples), *seen.shape)
        fits = tuple(samples.data.shape) == wanted and samples.data.dtype in DTYPES.get(seen.dtype, ())
        require(fits, f"'{part}' must be {seen.dtype} of shape {wanted}; it is {describe(samples.data)}.")
        check_range(part, samples)


def check_range(part: str, samples: Samples) -> None:
    """Raise Failure unless tokens are in the vocabulary and waveforms finite."""
    if samples.observed.vocabulary is not None:
        low, high, size = int(samples.data.min()), int(samples.data.max()), samples.observed.vocabulary.size
        require(low >= 0 and high < size, f"'{part}' must hold ids from 0 to {size - 1}; {low} to {high} came.")
    if samples.data.is_floating_point():
        require(bool(samples.data.isfinite().all()), f"'{part}' must be finite; NaN or infinity came.")


@check("data")
def labels_are_within_their_names(case: DataCase) -> None:
    """Check that every label is the number of a name, or -1; one for every sample, and both parts name alike."""
    names = []
    for part, samples in case.parts.items():
        names.append({name: labels.names for name, labels in samples.labels.items()})
        for name, labels in samples.labels.items():
            require(len(labels.value) == len(samples), f"'{name}' must have {len(samples)} labels in '{part}'.")
            low, high = int(labels.value.min()), int(labels.value.max())
            most = 1 if labels.multiple else len(labels.names) - 1
            fits = low >= -1 and high <= most
            require(fits, f"'{name}' must be from -1 to {most} in '{part}'; {low} to {high} came.")
            wide = not labels.multiple or labels.value.shape[1:] == (len(labels.names),)
            require(wide, f"'{name}' must have a column for each of its {len(labels.names)} classes in '{part}'.")
    require(names[0] == names[1], "Both parts must have the same labels with the same names.")


@check("data")
def batches_have_no_labels(case: DataCase) -> None:
    """Check that a batch holds samples, their numbers, padding and partners, no more; its numbers are their places."""
    samples = case.parts["train"]
    batch = samples.batch(torch.arange(min(4, len(samples))), CPU)
    extra = {*vars(batch)} - {field.name for field in fields(Batch)}
    require(type(batch) is Batch and not extra, f"A batch must be a Batch without more; {sorted(extra)} came along.")
    require(batch.index.tolist() == list(range(len(batch))), "The numbers of a batch must be the samples' places.")
    picked = samples.batch(torch.tensor([2, 0]), CPU)
    same = torch.equal(picked.data[1], batch.data[0]) and torch.equal(picked.data[0], batch.data[2])
    require(same, "Sample 0 must be the same in every batch.")


@check("data")
def no_sample_is_in_both_parts(case: DataCase) -> None:
    """Check that no sample of the test part has the content of one to train on."""
    seen = [{hash_content(row) for row in samples.take(slice(None))} for samples in case.parts.values()]
    both = len(seen[0] & seen[1])
    require(
        not both, f"The parts must share no sample; {both} of {len(seen[1])} to test on are among those to train on."
    )


def hash_content(row: torch.Tensor) -> bytes:
    """Return a hash of one sample."""
    return blake2b(row.contiguous().numpy().tobytes(), digest_size=12).digest()


@check("data")
def same_data_every_time(case: DataCase) -> None:
    """Check that, made again without what was cached, data and fingerprints are the same, wherever files lie."""
    for part, samples in case.parts.items():
        again = case.again[0][part]
        require(samples.fingerprint, f"'{part}' must have a fingerprint of its content; it has none.")
        same = hash_content(samples.take(slice(None))) == hash_content(again.take(slice(None)))
        require(same, f"'{part}' must be the same every time; built again, its content differs.")
        same = samples.fingerprint == again.fingerprint
        require(same, f"The fingerprint of '{part}' must be the same every time; built again, it differs.")
    differ = len({samples.fingerprint for samples in case.parts.values()}) == len(case.parts)
    require(differ, "Parts of different content must have different fingerprints.")


@check("data")
def ambient_randomness_is_left_alone(case: DataCase) -> None:
    """Check that the generators of torch, numpy and random are not moved when the data are made."""
    moved = case.again[1]
    require(not moved, f"Data must be made from Draws and files only; they moved the generator of {moved}.")


@check("data")
def refuses_with_reasons(case: DataCase) -> None:
    """Check that an unknown part raises PretaskError, which says what was needed, what came and what to do."""
    origin = case.small.origin  # a Skip of data that cannot be tried is no refusal
    check_refusal(lambda: origin("no such part"), "The part 'no such part'", PretaskError)
