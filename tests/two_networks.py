"""Two networks and an optimizer that took a step, for tests of checkpoints."""

import torch
from torch import nn


def parts() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {"model": nn.Linear(3, 2), "objective": nn.BatchNorm1d(2)}


def stepped(modules: dict[str, nn.Module]) -> torch.optim.Optimizer:
    optimizer = torch.optim.AdamW([parameter for part in modules.values() for parameter in part.parameters()], lr=0.1)
    modules["objective"](modules["model"](torch.eye(3))).square().sum().backward()
    optimizer.step()
    return optimizer
