"""Vit: what is hidden is not read, what is skipped costs nothing and stays zero, and images may be of any size."""

import pytest
import torch
from pretask import Batch, Draws, Incompatible, Inputs, InputSpec, Observed
from pretask_plugins.methods.masked_image.decoder import PatchDecoder
from pretask_plugins.models.image.vit import Vit
from pretask_plugins.shared.patch_tokens import encode_positions
from pretask_plugins.splits.masked_splits import any_from_any

CPU = torch.device("cpu")
SEEN = Observed("image", (3, 16, 16), "uint8", 8)
SPLIT = any_from_any(mask_ratio=0.75, patch=4)
SIZES = {"width": 16, "depth": 2, "heads": 2, "patch": 4}


def build(hidden: str) -> Vit:
    spec, _ = SPLIT.spec(SEEN)
    torch.manual_seed(0)
    return Vit(spec, SPLIT.whole_spec(SEEN), **SIZES, hidden=hidden).eval()  # type: ignore[arg-type]


def shown() -> tuple[Inputs, torch.Tensor]:
    """Images with holes, and which of their pixels are visible."""
    images = torch.randint(0, 256, (8, *SEEN.shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    inputs, _ = SPLIT(Batch(images), Draws(torch.arange(8)))
    assert inputs.visible is not None
    return inputs, inputs.visible


@pytest.mark.parametrize("hidden", ["masked", "skipped"])
def test_what_is_hidden_changes_nothing_whatever_stands_there(hidden: str) -> None:
    model, (inputs, visible) = build(hidden), shown()
    noisy = Inputs(inputs.data.where(visible[:, :, None], torch.rand_like(inputs.data)), visible=visible)
    with torch.no_grad():
        ours, theirs = model(inputs), model(noisy)
    assert torch.equal(ours.streams["all"], theirs.streams["all"])
    with torch.no_grad():
        assert not torch.equal(build("erased")(inputs).streams["all"], build("erased")(noisy).streams["all"])


def test_a_quarter_of_the_patches_goes_through_the_blocks_and_the_others_are_zero() -> None:
    model, (inputs, _) = build("skipped"), shown()
    lengths: list[int] = []
    model.blocks[0].register_forward_hook(lambda block, args, out: lengths.append(out.shape[1]))
    with torch.no_grad():
        found = model(inputs, layers=True)
    assert lengths == [4]
    assert found.visible is not None
    assert (found.streams["all"].abs().sum(-1) > 0).equal(found.visible)
    assert len(found.layers) == 2


def test_all_ways_are_one_where_nothing_is_hidden_but_for_the_vector_that_is_not_used() -> None:
    whole = SPLIT.whole(Batch(torch.zeros(2, *SEEN.shape, dtype=torch.uint8)))
    erased = build("erased")
    weights = {name: value for name, value in erased.state_dict().items() if name != "mask"}
    for hidden in ("masked", "skipped"):
        model = build(hidden)
        model.load_state_dict(weights, strict=False)
        with torch.no_grad():
            assert torch.allclose(model(whole).streams["all"], erased(whole).streams["all"])


def test_images_of_another_size_are_read_and_places_have_the_same_vectors_there() -> None:
    small, large = (encode_positions(*grid, 8, CPU) for grid in ((2, 3), (5, 9)))
    assert torch.equal(small, large.view(5, 9, 8)[:2, :3].reshape(6, 8))
    assert len({tuple(row) for row in encode_positions(8, 8, 16, CPU).tolist()}) == 64
    assert encode_positions(2, 3, 8, CPU) is small  # built once
    model = build("erased")
    assert model.features(InputSpec("image", (3, 8, 24))).grid == (2, 6)
    assert model(Inputs(torch.rand(1, 1, 3, 8, 24))).grid == (2, 6)
    with pytest.raises(Incompatible, match=r"whose sides 4 divides"):
        model.features(InputSpec("image", (3, 10, 24)))


def test_hidden_patches_smaller_than_the_models_are_refused_where_they_would_be_read() -> None:
    fine = any_from_any(mask_ratio=0.5, patch=2)
    model = Vit(fine.spec(SEEN)[0], fine.whole_spec(SEEN), **SIZES)
    assert model.features(fine.spec(SEEN)[0]).grid == (4, 4)
    model.hidden = "skipped"
    with pytest.raises(Incompatible, match=r"hidden by patches whose sides 4 divides"):
        model.features(fine.spec(SEEN)[0])


def test_a_decoder_draws_hidden_patches_from_what_is_visible_alone() -> None:
    spec, targets = SPLIT.spec(SEEN)
    model, (inputs, visible) = build("skipped"), shown()
    decoder = PatchDecoder(model.features(spec), targets, width=16, depth=1, heads=2)
    data = inputs.data.clone().requires_grad_()
    (drawn,) = decoder.predict(model(Inputs(data, visible=visible))).values()
    hidden_rows = ~visible[0, 0, ::4, ::4]
    drawn[0][hidden_rows].sum().backward()
    assert data.grad is not None
    touched = data.grad[0, 0].abs().sum(0) > 0
    assert touched[visible[0, 0]].any()
    assert not touched[~visible[0, 0]].any()


def test_a_line_reads_no_skipped_patch() -> None:
    spec, targets = SPLIT.spec(SEEN)
    with pytest.raises(Incompatible, match=r"Set objective\.depth to 1 or more, or model\.hidden to masked"):
        PatchDecoder(build("skipped").features(spec), targets, depth=0)
    assert len(PatchDecoder(build("masked").features(spec), targets, depth=0).blocks) == 0
