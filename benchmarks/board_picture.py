"""The picture of README: the first tables of the board that `make demo` ends with, as a small PNG file.

python benchmarks/board_picture.py runs/site/index.html docs/board.png
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

WIDTH, HEIGHT = 1300, 1000  # pixels of the page, from its top
SCALE = 2  # pixels of the picture's source to one of the page, so that letters stay sharp
COLORS = 192  # that the picture keeps
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def take_picture(page: Path, picture: Path) -> None:
    """Show a page in a browser without a window, and keep its upper part.

    Raises:
        FileNotFoundError: No browser is installed.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise FileNotFoundError(f"The picture needs one of {', '.join(BROWSERS)}; none is installed.")
    with TemporaryDirectory() as folder:
        shot = Path(folder, "page.png")
        options = [f"--screenshot={shot}", f"--window-size={WIDTH},{HEIGHT}", f"--force-device-scale-factor={SCALE}"]
        settings = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        still = Path(folder, "page.html")  # without its script the page has no filters
        still.write_text(re.sub(r"<script>.*</script>", "", page.read_text(), flags=re.DOTALL))
        subprocess.run([browser, *settings, *options, still.as_uri()], check=True, capture_output=True)
        image = Image.open(shot).convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    picture.parent.mkdir(parents=True, exist_ok=True)
    image.quantize(COLORS).save(picture, optimize=True)


if __name__ == "__main__":
    take_picture(Path(sys.argv[1]), Path(sys.argv[2]))
