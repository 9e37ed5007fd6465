"""Frame-LSTM: a perceptron of every frame of sound, and LSTM layers over what it makes.

Source: van den Oord, Li and Vinyals 2018, section 3.1. Differs: a frame of a spectrogram, where the paper convolves the
waveform five times; an LSTM, where it has a GRU.
Axes: R rows (views of samples), L frames, D width.
"""

from pretask import Features, FeatureSpec, Incompatible, Inputs, InputSpec, upcast
from pretask.options import Depth, FractionBelowOne, Size
from torch import Tensor, nn

from pretask_plugins.models.text.lstm import Direction, reading_order
from pretask_plugins.models.text.sequence import as_features, flatten_views, last_present, with_layers


class FrameLstm(nn.Module):
    """Latents of single frames (stream `present`), and of all frames so far (`past`).

    Args:
        spec: Of x: frames.
        whole_spec: Of the undivided sample.
        width: Of every vector; 512 for latents and 256 for what was heard in the paper.
        depth: LSTM layers.
        dropout: Fraction of activations that are dropped between layers in training.

    Raises:
        Incompatible: The inputs are no frames.
    """

    def __init__(
        self,
        spec: InputSpec,
        whole_spec: InputSpec,
        /,
        *,
        width: Size = 256,
        depth: Depth = 1,
        dropout: FractionBelowOne = 0.0,
    ) -> None:
        super().__init__()
        self.width, self.channels = width, spec.shape[-1]
        self.check(spec)
        self.check(whole_spec)
        self.perceptron = nn.Sequential(
            nn.Linear(self.channels, width), nn.LayerNorm(width), nn.GELU(), nn.Linear(width, width)
        )
        self.layers = Direction(width, depth, None, dropout)

    def check(self, spec: InputSpec) -> None:
        """Raise Incompatible unless the spec is frames of as many channels as the network was built for."""
        if len(spec.shape) != 2 or spec.vocabulary is not None or spec.shape[1] != self.channels:
            raise Incompatible(
                "frame-lstm",
                f"frames (length, {self.channels} channels)",
                f"{spec.modality} of shape {spec.shape}",
                "Choose a split of frames of sound, such as future-latents.",
            )

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return the spec of two vectors per frame: its own, and what was heard so far."""
        self.check(spec)
        return FeatureSpec(self.width, spec.shape[:1], spec.views, ("present", "past"))

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Return features of every view: latents in both streams, and what each layer makes of those so far."""
        present = flatten_views(inputs.present)
        latents = upcast(self.perceptron(inputs.data.flatten(0, 1)))  # few CPUs have bfloat16 LSTMs
        found = [latents, *self.layers(latents, reading_order(latents, present, backward=False))]

        def build(heard: Tensor) -> Features:
            streams = {"present": latents, "past": heard}
            return as_features(streams, {name: last_present(v, present) for name, v in streams.items()}, inputs)

        return with_layers([build(heard) for heard in (found if layers else found[-1:])], layers)
