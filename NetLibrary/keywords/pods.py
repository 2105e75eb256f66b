"""Keywords that start pods, run commands in them, and copy files, in kubectl's words."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robot.api import logger

from NetLibrary._mechanics.secrets import head, tail
from NetLibrary.keywords._base import keyword
from NetLibrary.keywords._sources import SourceBase
from NetLibrary.types import CommandOutput, Source

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube import Cluster
    from NetLibrary._mechanics.vantage import Vantage

HALF_A_MINUTE = timedelta(seconds=30)
# Each command holds one connection to the API server
AT_ONCE = 32


class PodKeywords(SourceBase):
    """Run pods and commands; copy files."""

    @keyword(tags=["cluster", "pod"])
    def run_pod(
        self, name: str, namespace: str, image: str, *command: str, labels: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None, node: str | None = None, user: int | None = None,
        timeout: timedelta | None = None, cluster: str | None = None,
    ) -> str:  # fmt: skip
        """Starts a pod from an image, as `kubectl run` does, and waits until it is ready or has completed.

        The pod is removed at the end of the run. For a pod that only connects to others, see [Start Prober].

        Args:
            name: Name of the pod.
            namespace: Its namespace.
            image: Image; it is pulled from `${REGISTRY}` if the suite sets one.
            command: Program and its arguments, each given as a separate argument; those of the image by default.
            labels: Labels; by default, `run` with the name of the pod, as with kubectl.
            environment: Environment variables.
            node: Node to run on; the scheduler's choice by default.
            user: ID of the user that it runs as; it also makes the pod fit for namespaces with the Pod Security
                Standard `restricted`. The image decides by default.
            timeout: Longest time for it to start; the library's `timeout` by default.
            cluster: Alias of the cluster.
        Returns:
            `namespace/name`, for the `source` argument of other keywords.
        Raises:
            Failure: The pod cannot start, or its command failed; the last lines that it printed are in the message.

        ```robotframework
        *** Test Cases ***
        A Server And What It Says
            Run Pod    echo    shop    registry.k8s.io/e2e-test-images/agnhost:2.53    /agnhost    netexec
            Wait Until Pod Has Printed    echo    shop    Started HTTP server
        ```
        """
        from NetLibrary._mechanics.kube import addresses, objects, wait

        connection = self.session.cluster(cluster)
        if node:
            addresses.require_node(connection, node)
        pod = objects.single_pod(
            name, namespace, image, command, labels=labels or {"run": name}, environment=environment or {}, node=node,
            user=user,
        )  # fmt: skip
        connection.create(pod)
        connection.wait(
            "Pod", namespace, wait.pod_ready_or_succeeded(now=connection.now), name=name, timeout=self._limit(timeout),
            what=f"Pod '{namespace}/{name}'", progress=logger.info,
        )  # fmt: skip
        return f"{namespace}/{name}"

    @keyword(tags=["cluster", "pod"])
    def run_in_pod(
        self, pod: str, namespace: str, *command: str, container: str | None = None, stdin: str | None = None,
        exit_status: int | None = 0, timeout: timedelta = HALF_A_MINUTE, cluster: str | None = None,
    ) -> CommandOutput:  # fmt: skip
        """Runs a command in a pod, as `kubectl exec` does, and returns what it printed.

        Args:
            pod: Name of the pod.
            namespace: Its namespace.
            command: Program and its arguments, each given as a separate argument.
            container: Container; the first one by default.
            stdin: Text for the command's standard input.
            exit_status: Exit status that the command must have; `${None}` for any.
            timeout: Longest time for the command, which is killed after that.
            cluster: Alias of the cluster.
        Returns:
            The standard output as text, with the attributes `exit_status`, `stderr` and `seconds`.
        Raises:
            Error: The command ended with a different exit status.

        ```robotframework
        *** Test Cases ***
        A File That May Be There
            ${output}    Run In Pod    web-0    shop    ls    /data/file    exit_status=${None}
            IF    ${output.exit_status} != 0    Log    ${output.stderr}
            ${upper}    Run In Pod    web-0    shop    tr    a-z    A-Z    stdin=text
        ```
        """
        words = required_command(command)
        connection = self.session.cluster(cluster)
        return run_in(connection, namespace, pod, words, container, stdin, exit_status, timeout)

    @keyword(tags=["cluster", "pod"])
    def run_in_every_pod(
        self, namespace: str, labels: str, *command: str, container: str | None = None, stdin: str | None = None,
        exit_status: int | None = 0, timeout: timedelta = HALF_A_MINUTE, cluster: str | None = None,
    ) -> dict[str, CommandOutput]:  # fmt: skip
        """Runs a command in all ready pods with certain labels in parallel, as `kubectl exec` does in one.

        Args:
            namespace: Their namespace.
            labels: Label selector, for instance `app=web`.
            command: Program and its arguments, each given as a separate argument.
            container: Container; the first one of each pod by default.
            stdin: Text for the standard input of each command.
            exit_status: Exit status that each command must have; `${None}` for any.
            timeout: Longest time for the command, which is killed after that.
            cluster: Alias of the cluster.
        Returns:
            The outputs by pod name; see [Run In Pod] for their attributes.
        Raises:
            Error: At least one command ended with a different exit status; the message names each of them.
        """
        from NetLibrary._mechanics.errors import InputError
        from NetLibrary._mechanics.vantage import pods_of

        if "=" not in labels:
            raise InputError(f"labels is '{labels}', which is not a label selector; give, for instance, app={labels}.")
        words = required_command(command)
        connection = self.session.cluster(cluster)
        names = [pod["metadata"]["name"] for pod in pods_of(connection, namespace, labels)]
        return all_at_once(
            names, lambda name: run_in(connection, namespace, name, words, container, stdin, exit_status, timeout)
        )

    @keyword(tags=["cluster", "node"])
    def run_on_every_node(
        self, *command: str, stdin: str | None = None, exit_status: int | None = 0,
        timeout: timedelta = HALF_A_MINUTE, cluster: str | None = None,
    ) -> dict[str, CommandOutput]:  # fmt: skip
        """Runs a command on every node's own network in parallel, much like `kubectl debug node/NAME`.

        It runs on each node in a pod of the library that uses the node's network: `ip route`, `cat /proc/net/dev` or
        `sysctl net.ipv4.ip_forward` show the node's own values, while the node's files and other processes are not
        visible.

        Args:
            command: Program and its arguments, each given as a separate argument.
            stdin: Text for the standard input of each command.
            exit_status: Exit status that each command must have; `${None}` for any.
            timeout: Longest time for the command.
            cluster: Alias of the cluster.
        Returns:
            The outputs by node name; see [Run In Pod] for their attributes.
        Raises:
            Error: At least one command ended with a different exit status; the message names each of them.

        ```robotframework
        *** Test Cases ***
        Every Node Forwards Packets
            ${outputs}    Run On Every Node    cat    /proc/sys/net/ipv4/ip_forward
            FOR    ${node}    ${output}    IN    &{outputs}
                Should Be Equal    ${output.strip()}    1    ${node} does not forward packets
            END
        ```
        """
        words = required_command(command)
        places = {
            place.name.removeprefix("node "): place for place in self._sources(Source("node", which="*"), cluster)
        }
        return all_at_once(list(places), lambda name: run_at(places[name], words, stdin, exit_status, timeout))

    @keyword(tags=["cluster", "pod"])
    def copy_to_pod(
        self, source: Path, pod: str, namespace: str, destination: str, *, container: str | None = None,
        timeout: timedelta | None = None, cluster: str | None = None,
    ) -> int:  # fmt: skip
        """Copies a file or a folder into a pod, as `kubectl cp` does.

        A copied folder *becomes* the destination, whether or not the destination existed before. Without `tar` in the
        image, files are copied one by one through its shell; an image with neither is an error.

        Args:
            source: File or folder on this machine.
            pod: Name of the pod.
            namespace: Its namespace.
            destination: Absolute path in the container; for a file, it may also be the folder, with a trailing `/`.
            container: Container; the first one by default.
            timeout: Longest time to wait; the library's `timeout` by default.
            cluster: Alias of the cluster.
        Returns:
            How many files were copied.

        ```robotframework
        *** Test Cases ***
        There And Back
            Copy To Pod    ${CURDIR}/data    web-0    shop    /tmp/data
            Copy From Pod    web-0    shop    /tmp/data/file    ${OUTPUT_DIR}/file
        ```
        """
        from NetLibrary._mechanics.kube.copying import Container

        connection = self.session.cluster(cluster)
        count = Container(connection, namespace, pod, container, timeout=self._limit(timeout)).put(source, destination)
        logger.info(f"{count} files are in '{destination}' of pod '{namespace}/{pod}'.")
        return count

    @keyword(tags=["cluster", "pod"])
    def copy_from_pod(
        self, pod: str, namespace: str, source: str, destination: Path, *, container: str | None = None,
        timeout: timedelta | None = None, cluster: str | None = None,
    ) -> Path:  # fmt: skip
        """Copies a file or a folder out of a pod, as `kubectl cp` does.

        Links and devices are left out, and nothing is written outside the destination, whatever the pod sends.

        Args:
            pod: Name of the pod.
            namespace: Its namespace.
            source: Absolute path in the container.
            destination: Path on this machine; a single file is put into an existing folder.
            container: Container; the first one by default.
            timeout: Longest time to wait; the library's `timeout` by default.
            cluster: Alias of the cluster.
        Returns:
            The destination.
        """
        from NetLibrary._mechanics.kube.copying import Container

        connection = self.session.cluster(cluster)
        holder = Container(connection, namespace, pod, container, timeout=self._limit(timeout))
        count = holder.fetch(source, destination)
        logger.info(f"{count} files of pod '{namespace}/{pod}' are in '{destination}'.")
        return destination


def required_command(command: Sequence[str]) -> list[str]:
    """Returns the words of a command; there must be one."""
    from NetLibrary._mechanics.errors import InputError

    if not command:
        raise InputError("command is empty; give the program and its arguments as separate arguments.")
    return list(command)


def run_in(
    cluster: Cluster, namespace: str, pod: str, command: list[str], container: str | None, stdin: str | None,
    exit_status: int | None, timeout: timedelta,
) -> CommandOutput:  # fmt: skip
    """Runs a command in a container and compares its exit status."""
    from NetLibrary._mechanics.errors import ExecFailed

    result = cluster.exec(
        namespace, pod, command, container=container, stdin=stdin, timeout=timeout.total_seconds(),
        check=exit_status == 0,
    )  # fmt: skip
    if exit_status not in (None, result.exit_code):
        raise ExecFailed(
            f"'{head(' '.join(command), 120)}' in pod '{namespace}/{pod}' ended with exit status {result.exit_code}; "
            f"expected {exit_status}.",
            exit_code=result.exit_code,
        )
    return CommandOutput.of(result.stdout, result.exit_code, result.stderr, result.seconds)


def run_at(
    place: Vantage, command: list[str], stdin: str | None, exit_status: int | None, timeout: timedelta
) -> CommandOutput:
    """Runs a command at a place and compares its exit status."""
    from NetLibrary._mechanics.errors import ExecFailed

    begin = time.monotonic()
    ran = place.run(command, timeout=timeout.total_seconds(), stdin=stdin)
    if exit_status not in (None, ran.exit_code):
        said = tail(ran.stderr.strip() or ran.stdout.strip(), 500) or "it printed nothing"
        raise ExecFailed(
            f"'{head(' '.join(command), 120)}' on {place.name} ended with exit status {ran.exit_code}: {said}",
            exit_code=ran.exit_code,
        )
    return CommandOutput.of(ran.stdout, ran.exit_code, ran.stderr, time.monotonic() - begin)


def all_at_once(names: Sequence[str], run: Any) -> dict[str, CommandOutput]:
    """Runs something for each name at once; what failed is told for all of them together."""
    from concurrent.futures import ThreadPoolExecutor

    from NetLibrary._mechanics.errors import ExecFailed, NetLibraryError

    def tried(name: str) -> CommandOutput | NetLibraryError:
        try:
            output: CommandOutput = run(name)
            return output
        except NetLibraryError as error:
            return error

    with ThreadPoolExecutor(min(AT_ONCE, max(1, len(names)))) as pool:
        outcomes = dict(zip(names, pool.map(tried, names), strict=True))
    wrong = {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, NetLibraryError)}
    if len(wrong) == 1 == len(names):
        raise next(iter(wrong.values()))
    if wrong:
        lines = "\n".join(f"{name}: {error}" for name, error in wrong.items())
        raise ExecFailed(f"{len(wrong)} of {len(names)} commands failed.\n{lines}")
    return {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, CommandOutput)}
