"""One run: its id, its clusters, its records, and everything that has to be tidied up at its end."""

from __future__ import annotations

import atexit
import contextlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robot.api import logger

from NetLibrary._mechanics import secrets as hidden
from NetLibrary._mechanics.errors import InputError
from NetLibrary.keywords import _robot

if TYPE_CHECKING:
    from NetLibrary._mechanics.kube import Choice, Cluster
    from NetLibrary._mechanics.kube.heartbeat import Heartbeat
    from NetLibrary._mechanics.kube.rights import Right
    from NetLibrary._mechanics.records import Recorder, Surroundings

DEFAULT = "default"


class Session:
    """State of one library instance.

    Args:
        timeout: Seconds that waits take at the most unless a keyword says otherwise.
        kubeconfig: Import argument of the library.
        context: Context of that kubeconfig.
    """

    def __init__(self, *, timeout: float, kubeconfig: str | None = None, context: str | None = None) -> None:
        hidden.learn_environment()
        # Valid as a label value and as part of a namespace's name
        self.run_id = f"{time.strftime('%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        self.default_timeout = timeout
        self.stand_ins: dict[str, str] = {}
        self._keep = False
        self.steps: dict[str, float] = {}
        # Called when traffic fails; each returns sentences that explain it (the topic mixins add theirs)
        self.explainers: list[Callable[[], list[str]]] = []
        # Called at the end of each test, before its headlines are shown
        self.at_test_end: list[Callable[[], None]] = []
        # Programs that carry traffic, by name; each returns its versions and images for the records
        self.carriers: dict[str, Callable[[], dict[str, Any]]] = {}
        self._kubeconfig, self._context = kubeconfig, context
        self.began = time.monotonic()  # the suite's setup, or the test, that runs
        self._clusters: dict[str, Cluster] = {}
        self._replaced: list[Cluster] = []  # whose alias leads elsewhere now
        self._choices: dict[str, Choice] = {}
        self._facts: dict[str, dict[str, Any]] = {}
        self._images: dict[str, str] = {}
        self.headlines: list[str] = []
        self._closers: list[tuple[str, Callable[[], None]]] = []
        self._on_this_machine: list[tuple[str, Callable[[], None]]] = []  # of these, what no sweep would find
        self._scoped: list[tuple[tuple[str, str], str, Callable[[], None]]] = []
        self.lacking: list[Right] = []  # which rows need, and the account has not
        self.forced = False  # whether a second signal ended the run
        self._told_interrupted = False
        self._told_stays: dict[str, list[str]] = {}
        self._heartbeat: Heartbeat | None = None  # beats from the first connection on

    # --- clusters -----------------------------------------------------------------------------------

    def cluster(self, alias: str | None = None) -> Cluster:
        """Returns a connected cluster; the default one connects itself at its first use.

        Raises:
            InputError: No cluster was connected by that alias.
        """
        name = alias or DEFAULT
        if name not in self._clusters:
            if name != DEFAULT:
                known = ", ".join(f"'{a}'" for a in sorted(self._clusters)) or "none"
                raise InputError(
                    f"No cluster is connected as '{name}'; connected: {known}. Use 'Connect To Cluster' first."
                )
            self.connect(DEFAULT, self._kubeconfig, self._context)
        return self._clusters[name]

    @property
    def clusters(self) -> dict[str, Cluster]:
        """All connected clusters by alias."""
        return dict(self._clusters)

    def connect(self, alias: str, kubeconfig: str | Path | None = None, context: str | None = None) -> Cluster:
        """Connects to a cluster, says which and why in one console line, and remembers it.

        Without a kubeconfig of its own, the library's import arguments and the variables `${KUBECONFIG}` and
        `${CONTEXT}` count. The same kubeconfig and context under a second alias share one connection.
        """
        from NetLibrary._mechanics import images
        from NetLibrary._mechanics.facts import cluster_facts
        from NetLibrary._mechanics.kube import choose
        from NetLibrary._mechanics.kube.pods import PodSettings
        from NetLibrary._mechanics.polling import LongWait

        LongWait.tell = _robot.console
        images.value_of = _value_of_variable
        if not kubeconfig:
            kubeconfig, context = self._kubeconfig, context or self._context
            context = context or str(_robot.variable("CONTEXT") or "") or None
        choice = choose(
            kubeconfig or None,
            variable=str(_robot.variable("KUBECONFIG") or "") or None,
            force=None if kubeconfig else (str(_robot.variable("CLUSTER") or "") or None),
            context=context,
        )
        for other, chosen in self._choices.items():
            # The reason may differ; what counts is where it leads
            if replace(chosen, reason="") == replace(choice, reason=""):
                return self._remember(alias, self._clusters[other], chosen)
        cluster = self._lab(alias, choice) if choice.source == "lab" else self._of_kubeconfig(alias, choice)
        cluster.say = _say
        cluster.pod_settings = lambda: PodSettings.of_variables(_robot.variable)
        if self._heartbeat is None:
            from NetLibrary._mechanics.kube.heartbeat import Heartbeat

            self._heartbeat = Heartbeat(self._all_clusters)
            self._heartbeat.start()
        self._remember(alias, cluster, choice)
        facts = self._facts[cluster.alias] = cluster_facts(cluster)
        where = f"lab '{facts['lab']}'" if facts["lab"] else cluster.address
        count = len(facts["nodes"])
        many = f"{count} node{'s' if count > 1 else ''}" if count else "nodes not listed"
        text = f"{where}, Kubernetes {cluster.version}, {many} ({choice.reason})"
        _robot.console(f"Cluster '{alias}': {text}")
        logger.info(f"Cluster '{alias}': {text}")
        _robot.set_suite_metadata("Cluster" if alias == DEFAULT else f"Cluster {alias}", text)
        # A runtime is written "containerd://1.7", which Robot would take for a link
        nodes = [(n["name"], n["runtime"].replace("://", " "), n["kernel"]) for n in facts["nodes"][:6]]
        names = ", ".join(f"{name} ({runtime}, Linux {kernel})" for name, runtime, kernel in nodes)
        _robot.set_suite_metadata("Nodes" if alias == DEFAULT else f"Nodes {alias}", names or "not listed")
        return cluster

    def _remember(self, alias: str, cluster: Cluster, choice: Choice) -> Cluster:
        before = self._clusters.get(alias)
        if before is not None and before is not cluster:
            self._replaced.append(before)  # what the run made there must still be removed
        self._clusters[alias], self._choices[alias] = cluster, choice
        return cluster

    def _of_kubeconfig(self, alias: str, choice: Choice) -> Cluster:
        from NetLibrary._mechanics.kube import Cluster

        return Cluster.connect(choice, alias=alias, run_id=self.run_id, lab=_lab_behind(choice))

    def _lab(self, alias: str, choice: Choice) -> Cluster:
        from NetLibrary._mechanics.kube import Choice, Cluster
        from NetLibrary.lab import Lab

        # Robot keeps back what a keyword writes to standard error until it ends, and the first start takes minutes
        lab = Lab(choice.lab, tell=lambda line: _robot.console(f"[lab] {line}"))
        use = lab.use()
        self.on_close(f"lab '{choice.lab}'", lambda: self._release(lab, use), on_this_machine=True)
        found = Choice("kubeconfig", choice.reason, (Path(lab.kubeconfig),), lab=choice.lab)
        return Cluster.connect(found, alias=alias, run_id=self.run_id, lab=lab)

    def _release(self, lab: Any, use: Any) -> None:
        if not self.keep:
            use.release()
            return
        text = (
            f"The lab '{lab.name}' keeps running because SKIP_TEARDOWN is on. To inspect it: "
            f"export KUBECONFIG={lab.kubeconfig}. To stop it: python -m NetLibrary.lab down --name {lab.name}"
        )
        _robot.console(text)
        logger.warn(text)

    def with_absences(self, text: str) -> str:
        """Returns the words of a failure, and which API servers were away during the test: it may explain it."""
        told = [each.connection.absences.words(each.alias, self.began) for each in self._all_clusters()]
        more = [words for words in told if words and words.partition(" gave ")[0] not in text]
        return "\n".join([text, *more])

    def look_for_api_servers(self) -> None:
        """Asks each cluster for a sign of life, so that `absences` knows why a connection was lost."""
        from NetLibrary._mechanics.errors import NetLibraryError

        for each in self._all_clusters():
            with contextlib.suppress(NetLibraryError):
                each.connection.request("GET", "/version", timeout=5.0)

    # --- results ------------------------------------------------------------------------------------

    @cached_property
    def recorder(self) -> Recorder:
        """Writes the records of the run."""
        from NetLibrary._mechanics.records import Recorder

        return Recorder(_robot.output_dir, self._surroundings)

    def note_stand_in(self, program: str, text: str) -> None:
        """Remembers that a program is a stand-in: shown in suite metadata and written into every record."""
        if self.stand_ins.get(program) != text:
            self.stand_ins[program] = text
            _robot.set_suite_metadata(f"STAND-IN for {program}", text)
            logger.warn(f"{program} is a stand-in here: {text}")

    def note_images(self, images: Sequence[Mapping[str, Any]]) -> None:
        """Shows the images that took part in a measurement in the suite's metadata."""
        for image in images:
            digest = str(image.get("digest") or "digest unknown").rpartition("@")[2]
            self._images[str(image["reference"])] = digest + (" (stand-in)" if image.get("stand_in") else "")
        text = ", ".join(f"{reference} {digest[:19]}" for reference, digest in sorted(self._images.items()))
        _robot.set_suite_metadata("Images", text)

    def headline(self, html: str) -> None:
        """Has HTML shown at the end of the test, at its top level, so that a reader need not open any keyword."""
        self.headlines.append(html)

    def _surroundings(self) -> Surroundings:
        from NetLibrary._mechanics.records import Surroundings

        return Surroundings(
            run=self.run_id,
            suite=_robot.suite_name(),
            test=_robot.current_test(),
            clusters=list(self._facts.values()),
            stand_ins=dict(self.stand_ins),
            timings=dict(self.steps),
        )

    # --- the end --------------------------------------------------------------------------------------

    def on_close(self, what: str, callback: Callable[[], None], *, on_this_machine: bool = False) -> None:
        """Has something undone at the end of the run, the latest first, also after SIGTERM.

        Args:
            what: Its name, for messages.
            callback: Undoes it.
            on_this_machine: Whether nothing else would: no sweep of the cluster finds it. It is undone after a second
                signal too, with which Robot ends without closing any library.
        """
        self._closers.append((what, callback))
        if on_this_machine:
            if not self._on_this_machine:
                atexit.register(self._close_on_this_machine)
            self._on_this_machine.append((what, callback))

    def _close_on_this_machine(self) -> None:
        while self._on_this_machine:
            _undo(*self._on_this_machine.pop())

    def on_scope_end(self, what: str, callback: Callable[[], None]) -> None:
        """Has something undone at the end of the test that runs, or of the suite when its setup or teardown runs."""
        self._scoped.append(((_robot.suite_name(), _robot.current_test()), what, callback))

    def end_scope(self, suite: str, test: str = "") -> None:
        """Undoes what was begun in a test, or in the setup or teardown of a suite, the latest first."""
        mine = [entry for entry in self._scoped if entry[0] == (suite, test)]
        self._scoped = [entry for entry in self._scoped if entry[0] != (suite, test)]
        for _, what, callback in reversed(mine):
            _undo(what, callback)

    @property
    def keep(self) -> bool:
        """Whether everything stays in the clusters at the end: the suite variable SKIP_TEARDOWN, or the keyword."""
        # Robot has forgotten its variables by the time it closes libraries
        self._keep = self._keep or _robot.switch("SKIP_TEARDOWN")
        return self._keep

    @keep.setter
    def keep(self, value: bool) -> None:
        self._keep = value

    def leave_namespace(self, cluster: Cluster, name: str) -> None:
        """Deletes a namespace of the run, or what it made in one that it only works in, unless all is to be kept."""
        if not self.keep:
            self._tell_when_interrupted()
        if self.keep:
            logger.info(f"Namespace '{name}' is kept because SKIP_TEARDOWN is on.")
        else:
            cluster.leave_namespace(name)

    def delete_everything(self, *, wait: float = 0.0) -> list[str]:
        """Deletes what this run made in all clusters, or lists it when everything is to be kept.

        Args:
            wait: Seconds to wait until it is really gone; 0 asks only.
        Returns:
            What is left against our will, in words; empty when everything is gone.
        """
        left: list[str] = []
        if not self.keep:
            self._tell_when_interrupted()
        for cluster in self._all_clusters():
            from NetLibrary._mechanics.kube.cleanup import delete_run

            if self.keep:
                self._tell_what_stays(cluster)
            else:
                left += delete_run(cluster, wait=wait)
        return left

    def _tell_when_interrupted(self) -> None:
        """Says once what goes on after Ctrl-C: whoever sees nothing for seconds presses again, and leaves things."""
        if self._told_interrupted or not _robot.interrupted():
            return
        self._told_interrupted = True
        _robot.console(
            "Interrupted: removing what the run created, which takes some seconds. A second signal stops this and "
            "leaves the rest to 'netlibrary sweep'."
        )

    def _all_clusters(self) -> list[Cluster]:
        """Returns each connected cluster once, those included whose alias leads elsewhere now."""
        return list({id(c): c for c in [*self._clusters.values(), *self._replaced]}.values())

    def _tell_what_stays(self, cluster: Cluster) -> None:
        from NetLibrary._mechanics.kube.cleanup import what_stays

        lines = what_stays(cluster)
        if lines and lines != self._told_stays.get(cluster.alias):
            self._told_stays[cluster.alias] = lines
            why = "A second signal ended the run" if self.forced else "SKIP_TEARDOWN is on"
            text = f"{why}, so this stays in cluster '{cluster.alias}':\n" + "\n".join(lines)
            _robot.console(text)
            logger.warn(text, console=False)

    def close(self) -> None:
        """Tidies up; one failure does not keep the rest from being done.

        Robot calls it once more, or for the first time, after a second signal, by which a user wants the end at once.
        """
        if self.forced:
            for cluster in self._all_clusters():
                self._tell_what_stays(cluster)
            return
        self.forced = True  # unless this comes to its end
        if self._heartbeat is not None:
            self._heartbeat.stop()
            if self.keep:
                self._heartbeat.end_all()
        try:
            left = self.delete_everything(wait=60.0)
            if left:
                logger.error(f"The run could not remove everything that it created: {'; '.join(left)}.")
        except Exception as error:  # whatever it is, what follows must be undone too
            logger.error(f"Removing what the run created failed: {error or type(error).__name__}")
        while self._scoped:
            _undo(*self._scoped.pop()[1:])
        while self._closers:
            closer = self._closers.pop()
            _undo(*closer)
            if closer in self._on_this_machine:
                self._on_this_machine.remove(closer)
        self._clusters.clear()
        self._choices.clear()
        self._replaced.clear()
        self.forced = False


def _undo(what: str, callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception as error:  # whatever it is, the next ones must be undone too
        logger.error(f"Closing {what} failed: {error}")


def _value_of_variable(name: str) -> str | None:
    """Returns the value of a variable, None if the suite has none of the name; outside a run all are empty."""
    value = _robot.variable(name) if _robot.running() else ""
    return None if value is None else str(value)


def _say(text: str) -> None:
    _robot.console(text)
    logger.info(text)


def _lab_behind(choice: Choice) -> Any:
    """Returns the lab whose kubeconfig was named, so that it is known as one that may be broken; else None."""
    if len(choice.kubeconfig) != 1:
        return None
    from NetLibrary.lab import Lab
    from NetLibrary.lab.paths import root

    path = choice.kubeconfig[0].resolve()
    if path.parent.parent != Path(root()).resolve():
        return None
    lab = Lab(path.parent.name)
    return lab if Path(lab.kubeconfig).resolve() == path else None
