"""The former home of `why_not_ready`."""

from __future__ import annotations

from NetLibrary._mechanics.kube.why_not_ready import Hopeless, Lasting, Trouble, exit_text, is_ready, problem

__all__ = ["Hopeless", "Lasting", "Trouble", "exit_text", "is_ready", "problem"]
