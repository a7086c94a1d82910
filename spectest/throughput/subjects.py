"""What is measured: the user's selector, and reference schemes by the addresses of their plain functions."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from spectest import schemes
from spectest.declaration import Declaration, declared_by
from spectest.errors import UsageError


@dataclass(frozen=True)
class Subject:
    """A selector that is measured.

    Args:
        name: what tables call it: the user's address, or a scheme's name.
        address: where its process finds it.
        declaration: how it is called.
        scheme: whether it is a reference scheme of ours.
    """

    name: str
    address: str
    declaration: Declaration
    scheme: bool = False

    @property
    def title(self) -> str:
        """Its name, with its drafting law unless that is the usual one."""
        law = self.declaration.drafting
        return self.name if law == Declaration().drafting else f"{self.name} ({law})"


def reference(name: str, drafting: str | None = None) -> Subject:
    """Return the selector of a reference scheme for a drafting law, the scheme's first one by default.

    Raises:
        UsageError: no scheme has that name, or it does not have that law; the message lists those that exist.

    Example:
        >>> reference("recursive_rejection", "independent").address
        'spectest.schemes.recursive_rejection:independent'
    """
    law = schemes.get(name, drafting=drafting).drafting
    module = import_module(schemes.SCHEMES[name])
    found = {where: item for where, item in vars(module).items() if callable(item) and declared_by(item).scheme == name}
    # One function per law; one for all laws where the selection is the same under each.
    fitting = [where for where, item in found.items() if declared_by(item).drafting == law] or list(found)
    if not fitting:
        msg = f"the scheme {name} has no plain function to be measured"
        raise UsageError(msg)
    where = fitting[0]
    declaration = declared_by(found[where]).override({"drafting": law})
    return Subject(name, f"{module.__name__}:{where}", declaration, scheme=True)
