"""Keywords that change objects, in kubectl's words. What the run did not create is put back at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from robot.api import logger

from NetLibrary._mechanics.errors import InputError
from NetLibrary.keywords._base import KeywordBase, keyword


class WorkloadKeywords(KeywordBase):
    """Patch, label and annotate objects."""

    @keyword(tags=["cluster"])
    def patch_object(
        self, kind: str, name: str, namespace: str | None = None, *, patch: Mapping[str, Any] | str,
        cluster: str | None = None,
    ) -> Any:  # fmt: skip
        """Changes parts of an object with a JSON merge patch, as `kubectl patch --type=merge` does.

        A misspelt field is an error. An object that the run did not create gets its old values back at the end of the
        run, and the log names it.

        Args:
            kind: Kind, or kubectl's short name: `Deployment`, `svc`, `Site.skupper.io`.
            name: Name of the object.
            namespace: Its namespace, for namespaced kinds.
            patch: What to change, as a dictionary or as JSON or YAML; `None` or `null` removes a value.
            cluster: Alias of the cluster.
        Returns:
            The changed object.

        ```robotframework
        *** Test Cases ***
        Service Becomes A NodePort
            Patch Object    svc    web    demo    patch={"spec": {"type": "NodePort"}}
        ```
        """
        if isinstance(patch, str):
            import yaml

            from NetLibrary._mechanics.kube.yaml_text import value_of

            try:  # YAML takes JSON, and the way in which Robot and Python write dictionaries
                patch = value_of(patch)
            except yaml.YAMLError as error:
                raise InputError(f"patch is neither JSON nor YAML: {' '.join(str(error).split())}.") from error
        if not isinstance(patch, Mapping) or not patch:
            raise InputError('patch is empty or not an object; give, for instance, {"spec": {"replicas": 2}}.')
        from NetLibrary._mechanics.kube.manifests import check_json

        check_json(patch, "patch has")
        return self.session.cluster(cluster).change(kind, name, namespace, dict(patch))

    @keyword(tags=["cluster"])
    def label_object(
        self, kind: str, name: str, namespace: str | None = None, *, cluster: str | None = None, **labels: str
    ) -> None:
        """Sets labels of an object, as `kubectl label` does; an empty value removes one.

        An object that the run did not create, such as a node, gets its old labels back at the end of the run.

        Args:
            kind: Kind, or kubectl's short name.
            name: Name of the object.
            namespace: Its namespace, for namespaced kinds.
            cluster: Alias of the cluster.
            labels: Values by key.

        ```robotframework
        *** Test Cases ***
        A Node Gets A Role
            Label Object    Node    node1    role=client
        ```
        """
        self._set_metadata("labels", kind, name, namespace, labels, cluster)

    @keyword(tags=["cluster"])
    def annotate_object(
        self, kind: str, name: str, namespace: str | None = None, *, cluster: str | None = None, **annotations: str
    ) -> None:
        """Sets annotations of an object, as `kubectl annotate` does; an empty value removes one.

        An object that the run did not create gets its old annotations back at the end of the run.

        Args:
            kind: Kind, or kubectl's short name.
            name: Name of the object.
            namespace: Its namespace, for namespaced kinds.
            cluster: Alias of the cluster.
            annotations: Values by key.
        """
        self._set_metadata("annotations", kind, name, namespace, annotations, cluster)

    def _set_metadata(
        self, part: str, kind: str, name: str, namespace: str | None, values: Mapping[str, str], cluster: str | None
    ) -> None:
        if not values:
            raise InputError(f"No {part} are given; write them as key=value.")
        body = {"metadata": {part: {key: str(value) if value else None for key, value in values.items()}}}
        self.session.cluster(cluster).change(kind, name, namespace, body)
        logger.info(f"{kind} '{name}': {part} {', '.join(f'{key}={value}' for key, value in values.items())}")
