"""People who have nothing to do with a subject, as the login provider describes them."""

from __future__ import annotations

from collections.abc import Mapping

from served import OTHER

STRANGERS: Mapping[str, tuple[str, tuple[str, ...], dict[str, str]]] = {
    "another subject": (OTHER, (), {}),
    "an administrator of another company": ("adm", ("tenant_admin",), {"tenant": "ten_b"}),
    "an administrator of none": ("adm", ("tenant_admin",), {}),
    "an auditor": ("ann", ("auditor",), {}),
    "a recipient": ("rec", ("recipient",), {}),
    "an unknown role": ("eve", ("root", "operator"), {}),
}
"""By what they are: id, roles and further claims."""
