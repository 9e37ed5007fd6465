"""Peers of text: masked-lm beside the collator of transformers, from the same rows of tokens.

The collator gets what a data set yields, a list for each row, with the mask of special tokens ready (without it, it
asks its tokenizer for every row). Its own best way counts: torch's or numpy's, of lists or of tensors.
"""

from typing import Any

import torch
from pretask import Vocabulary
from pretask_plugins.methods.masked_lm.split import MaskTokens
from torch import Tensor

from benchmarks.speed.race import Work, require_peer
from benchmarks.speed.splitting import split_batches

SPECIAL = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}  # of BERT
ROLES = (("pad", 0), ("unknown", 100), ("class", 101), ("separator", 102), ("mask", 103))
SIZE, FIRST = 30_522, 104  # of BERT's vocabulary; its first ordinary token here
TRANSFORMERS = "transformers==5.23.0"


def mask_rows(device: torch.device, rows: int, length: int) -> tuple[Work, dict[str, Work]]:
    """Return ways to mask rows of tokens: ours, and theirs by name."""
    tokens = make_tokens(rows, length)
    special = (tokens < FIRST).long()
    split = MaskTokens(vocabulary=Vocabulary(SIZE, ROLES))
    return split_batches(split, tokens, device), {
        f"{kind}, {form}": collate(tokens, special, kind, form)
        for kind in ("pt", "np")
        for form in ("lists", "tensors")
    }


def make_tokens(rows: int, length: int) -> Tensor:
    """Return rows of random tokens between BERT's first and last."""
    tokens = torch.randint(FIRST, SIZE, (rows, length), generator=torch.Generator().manual_seed(0))
    tokens[:, 0], tokens[:, -1] = SPECIAL["[CLS]"], SPECIAL["[SEP]"]
    return tokens


def collate(tokens: Tensor, special: Tensor, kind: str, form: str) -> Work:
    """Return the collator's work on rows given as lists or tensors, with results of numpy or torch."""
    collator = make_collator(kind)
    pairs = [
        (row, mask) if form == "tensors" else (row.tolist(), mask.tolist())
        for row, mask in zip(tokens, special, strict=True)
    ]
    examples = [{"input_ids": row, "special_tokens_mask": mask} for row, mask in pairs]
    return lambda: collator(examples)


def make_collator(kind: str) -> Any:
    """Return the collator of transformers for masked language models; `kind` is np or pt."""
    transformers = require_peer("transformers", TRANSFORMERS)
    tokenizers = require_peer("tokenizers", TRANSFORMERS)
    words = {f"word {number}": number for number in range(SIZE) if number not in SPECIAL.values()}
    model = tokenizers.models.WordLevel({**words, **SPECIAL}, unk_token="[UNK]")
    names = {f"{name[1:-1].lower()}_token": name for name in SPECIAL}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer(model), **names)
    return transformers.DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15, return_tensors=kind)
