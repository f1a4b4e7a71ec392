"""Checks of a map that its form cannot make: names, placeholders, and who verifies whose answers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias, TypeGuard

from exporters.http import templates
from exporters.http.forms import HttpDatasetForm, HttpSourceForm, IdentityForm, LinksForm, NodeForm, RequestForm
from exporters.http.matching import PARENT
from exporters.http.rates import parse_rate
from exporters.maps.positions import Path
from exporters.maps.reading import MapFault
from portability.api import FieldType
from portability.api.names import name_fault
from portability.api.tags import REDACTABLE

SLUG = re.compile(r"[a-z0-9_-]+")
Nodes: TypeAlias = Mapping[str, LinksForm | HttpDatasetForm]


def faults(form: HttpSourceForm) -> Iterator[MapFault]:
    """Yield everything that is wrong in a map, each with its place."""
    if not form.dataset:
        yield MapFault((), "the map declares no dataset")
    yield from _bad_rates(form)
    nodes = form.nodes
    names = Counter([links.name.lower() for links in form.links] + [dataset.name.lower() for dataset in form.dataset])
    for number, identity in enumerate(form.identity):
        yield from _bad_identity(form, identity, ("identity", number))
    for number, links in enumerate(form.links):
        yield from _bad_node(form, links, nodes, ("links", number))
    for number, dataset in enumerate(form.dataset):
        path = ("dataset", number)
        if names[dataset.name.lower()] > 1:
            hint = "the case of its letters does not count"
            yield MapFault((*path, "name"), f"the name {dataset.name!r} is used twice", hint)
        if fault := name_fault(dataset.name):
            yield MapFault((*path, "name"), f"the name {dataset.name!r} {fault}")
        yield from _bad_node(form, dataset, nodes, path)
        yield from _bad_dataset(dataset, nodes, path)
        yield from _bad_file(form, dataset, nodes, (*path, "file"))


def _bad_rates(form: HttpSourceForm) -> Iterator[MapFault]:
    for name, text in form.limits.buckets.items():
        try:
            parse_rate(name, text)
        except ValueError as error:
            yield MapFault(("limits", "buckets", name), str(error))


def _bad_identity(form: HttpSourceForm, identity: IdentityForm, path: Path) -> Iterator[MapFault]:
    known = {*form.values, identity.asked, "tenant"}
    yield from _bad_request(form, identity, known, path)
    if identity.gap_on:
        yield MapFault((*path, "gap_on"), "a look-up is about one person: use `none_on`, or let it fail")
    if identity.window is not None:
        yield MapFault((*path, "window"), "a look-up has no `window`", "hits have no time: read them in pages (`page`)")
    if identity.confirm is not None:
        yield from _bad_texts([("confirm", identity.confirm, True)], known | {"value"}, path)
    for name in identity.verify.values():
        if name not in {identity.asked, "tenant"}:
            yield MapFault((*path, "verify"), f"verify names {name!r}; known: {identity.asked}, tenant")
    if identity.asked not in identity.verify.values():
        yield MapFault((*path, "verify"), f"no value is compared with {identity.asked}")


def _bad_node(form: HttpSourceForm, node: LinksForm | HttpDatasetForm, nodes: Nodes, path: Path) -> Iterator[MapFault]:
    stated = [name for name in (node.for_each, node.parent) if name is not None]
    if len(stated) != 1:
        yield MapFault(path, f"{node.name} needs one of `for_each` and `parent`")
        return
    if node.parent is not None and not _is_tree(node, nodes):
        yield MapFault(
            (*path, "parent"), f"{node.parent!r} is not a dataset or links of this map, or leads in a circle"
        )
        return
    yield from _unread(node, path)
    known = {*form.values, *_known(node, nodes)}
    is_coded = isinstance(node, HttpDatasetForm) and bool(node.hooks.pages or node.hooks.shape)
    if node.within is not None and not isinstance(nodes.get(node.parent or ""), HttpDatasetForm):
        yield MapFault((*path, "within"), "items within an item need a dataset as `parent`")
    if not is_coded and node.within is None:
        for number, request in enumerate(node.union or (node,)):
            yield from _bad_request(form, request, known, (*path, "union", number) if node.union else path)
    for name in node.verify.values():
        if name not in known:
            yield MapFault((*path, "verify"), f"verify names {name!r}; known: {_listed(known)}")
    if node.for_each is not None and not node.verify and not node.scoped:
        hint = "a filter of a source is not a wall; `scoped = true` if only the path names the person"
        yield MapFault(path, f"{node.name} does not verify whose its items are", hint)
    if node.parent is not None and not (is_coded or _is_tied(node, nodes)):
        hint = "a source may ignore a parameter: name the parent in the path or in `verify`, or `scoped = true`"
        yield MapFault(path, f"nothing ties the items of {node.name} to {node.parent}", hint)
    yield from _bad_batch(node, nodes, path)
    yield from _bad_conditions(node, nodes, path)


def _is_tied(node: LinksForm | HttpDatasetForm, nodes: Nodes) -> bool:
    """Return whether a map says how the items of a node are those of its parent: by their values, or by a path."""
    is_compared = bool(node.verify) or any(str(one.equals).startswith(PARENT) for one in node.keep)
    if node.scoped or node.within is not None or is_compared or _compares_ids(node):
        return True
    above = _known(node, nodes) - {"tenant", "fields"}
    paths = ((one.get or one.post or "").partition("?")[0] for one in node.union or (node,))
    return all(above.intersection(templates.names_in(path)) for path in paths)


def _compares_ids(node: LinksForm | HttpDatasetForm) -> bool:
    """Return whether items are compared with the ids of their batch: by a field of the key that is their own."""
    if node.batch and _is_dataset(node):
        paths = (node.fields[name].at or "" for name in node.key if name in node.fields)
        return not all(path.startswith(PARENT) for path in paths)
    return False


def _unread(node: NodeForm, path: Path) -> Iterator[MapFault]:
    """Yield a fault for keys of a request that is not made: its records would be missing without a word."""
    keys = sorted(node.model_fields_set & RequestForm.model_fields.keys())
    if node.union:
        for key in keys:
            yield MapFault((*path, key), f"`{key}` is not read beside `union`", "each request of `union` has its own")
    elif node.within is not None:
        for key in sorted({*keys} - {"cut"}):
            yield MapFault((*path, key), f"`{key}` is not read beside `within`", "nothing is requested: remove one")


def _bad_request(form: HttpSourceForm, request: RequestForm, known: set[str], path: Path) -> Iterator[MapFault]:
    if (request.get is None) == (request.post is None):
        yield MapFault(path, "a request needs one of `get` and `post`")
        return
    method = "get" if request.get is not None else "post"
    texts = [(method, request.get or request.post or "", True)]
    texts += [("params", text, False) for text in request.params.values()]
    texts += [("body", text, False) for text in templates.texts_of(request.body)]
    more = {"after"} if request.page is not None else set()
    more |= {"since", "until"} if request.window is not None else set()
    yield from _bad_texts(texts, known | more, path)
    if not form.error and any(isinstance(one, str) for one in request.none_on):
        yield MapFault((*path, "none_on"), "a code of an error needs `error` of the map, which says where it is")
    if request.bucket is not None and request.bucket not in form.limits.buckets:
        yield MapFault((*path, "bucket"), f"unknown bucket {request.bucket!r}; known: {_listed(form.limits.buckets)}")
    is_continued = any("after" in templates.names_in(text) for _, text, _ in texts)
    if request.page is not None and request.page.kind != "link" and not is_continued:
        yield MapFault((*path, "page"), "no parameter or body contains {after}: every page would be the first")


def _bad_texts(texts: Sequence[tuple[str, str, bool]], known: Iterable[str], path: Path) -> Iterator[MapFault]:
    for key, text, is_path in texts:
        for fault in templates.faults(text, is_path=is_path):
            yield MapFault((*path, key), fault)
        for name in templates.names_in(text):
            if name not in known:
                yield MapFault((*path, key), f"unknown placeholder {{{name}}}; known: {_listed(known)}")


def _bad_batch(node: NodeForm, nodes: Nodes, path: Path) -> Iterator[MapFault]:
    if node.batch is None:
        return
    if node.each is None and not isinstance(nodes.get(node.parent or ""), LinksForm):
        yield MapFault((*path, "batch"), "a batch needs ids: links as `parent`, or `each`")
    for number, request in enumerate(node.union or (node,)):
        if request.page is not None:
            at = (*path, "union", number) if node.union else path
            yield MapFault((*at, "page"), "a batch is one answer: it has no pages")


def _bad_conditions(node: NodeForm, nodes: Nodes, path: Path) -> Iterator[MapFault]:
    for number, condition in enumerate(node.keep):
        if isinstance(condition.equals, str) and condition.equals.startswith(PARENT):
            yield from _bad_parent(condition.equals, node, nodes, (*path, "keep", number, "equals"))


def _bad_dataset(form: HttpDatasetForm, nodes: Nodes, path: Path) -> Iterator[MapFault]:
    for name in form.key:
        if name not in form.fields:
            yield MapFault((*path, "key"), f"the key {name!r} is not a field")
    if form.created is not None and (
        form.created not in form.fields or form.fields[form.created].type is not FieldType.DATETIME
    ):
        yield MapFault((*path, "created"), f"{form.created!r} is not a field of the type datetime")
    for name, one in form.fields.items():
        place = (*path, "fields", name)
        if one.person is not None and (name in form.key or one.type not in REDACTABLE):
            yield MapFault(place, "only a text or object that is not a key has a `person`")
        if one.at is not None and one.at.startswith(PARENT):
            yield from _bad_parent(one.at, form, nodes, place)
    for name in form.withheld:
        if not SLUG.fullmatch(name):
            yield MapFault((*path, "withheld", name), "a name has lower-case letters, digits, _ and -; use `at`")
    yield from _bad_shape(form, nodes, path)


def _bad_file(form: HttpSourceForm, dataset: HttpDatasetForm, nodes: Nodes, path: Path) -> Iterator[MapFault]:
    file = dataset.file
    if not (file and _is_tree(dataset, nodes)):
        return
    known = {*form.values, *_known(dataset, nodes), *dataset.fields} - {"ids", "fields"}
    if file.get:
        yield from _bad_texts([("get", file.get, True)], known, path)
    if file.url_from:
        yield from _bad_texts([("get", file.url_from.get, True)], known, (*path, "url_from"))


def _bad_shape(form: HttpDatasetForm, nodes: Nodes, path: Path) -> Iterator[MapFault]:
    if (form.hooks.shape is None) != (not form.parts):
        yield MapFault(path, "the hook `shape` and `parts` need each other")
    for name in form.parts:
        part = nodes.get(name)
        if not isinstance(part, HttpDatasetForm) or part.parent != form.parent or form.parent is None:
            yield MapFault((*path, "parts"), f"{name!r} is not a dataset with the same parent")


def _bad_parent(text: str, node: NodeForm, nodes: Nodes, place: Path) -> Iterator[MapFault]:
    parent = nodes.get(node.parent or "")
    # The record of links is that of the dataset above them.
    while isinstance(parent, LinksForm):
        parent = nodes.get(parent.parent or "")
    if not isinstance(parent, HttpDatasetForm) or text.removeprefix(PARENT) not in parent.fields:
        yield MapFault(place, f"{text!r} is not a field of the parent")


def _is_tree(node: NodeForm, nodes: Nodes) -> bool:
    seen: set[str] = set()
    while node.parent is not None:
        if node.parent not in nodes or node.parent in seen:
            return False
        seen.add(node.parent)
        node = nodes[node.parent]
    return True


def _known(node: LinksForm | HttpDatasetForm, nodes: Nodes) -> set[str]:
    """Return the names that the templates of a node may use."""
    known = {node.for_each, "tenant"} if node.for_each is not None else set()
    if node.parent is not None:
        above = nodes[node.parent]
        known |= _known(above, nodes) - {"each", "ids", "fields"}
        known |= {f"{above.name}.{name}" for name in above.fields} if _is_dataset(above) else {above.name}
        known |= {"ids"} if node.batch is not None else set()
    known |= {"each", "ids"} if node.each is not None else set()
    return known | ({"fields"} if _is_dataset(node) else set())


def _is_dataset(node: NodeForm) -> TypeGuard[HttpDatasetForm]:
    return isinstance(node, HttpDatasetForm)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
