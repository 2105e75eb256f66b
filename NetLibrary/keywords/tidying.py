"""Keywords for the end of a run, and for what runs left that never came to their end."""

from __future__ import annotations

from datetime import timedelta

from robot.api import Failure, logger

from NetLibrary._mechanics.errors import InputError, Unavailable
from NetLibrary.keywords import _robot
from NetLibrary.keywords._base import KeywordBase, keyword


class TidyingKeywords(KeywordBase):
    """Remove, keep and sweep what runs create."""

    @keyword(tags=["cluster"])
    def delete_everything_this_run_created(
        self, *, wait: bool = True, timeout: timedelta = timedelta(seconds=60)
    ) -> None:
        """Deletes everything that this run created, in all connected clusters, and waits until it is gone.

        Objects that existed before the run get their old values back. The library does all this by itself at the end of
        the run, also after a failure or SIGTERM. With SKIP_TEARDOWN, it only lists what stays.

        Args:
            wait: Whether to wait for the deletion and fail when something is left; a namespace takes at least 5 s. If
                not, the deletion is only requested, and anything left is an error in the log at the end of the run.
            timeout: Longest time to wait.
        """
        left = self.session.delete_everything(wait=timeout.total_seconds() if wait else 0.0)
        if left:
            raise Failure(f"Not everything that the run created could be removed: {'; '.join(left)}.")

    @keyword(tags=["cluster"])
    def keep_everything_this_run_created(self) -> None:
        """Turns off the cleanup at the end of the run, so that the objects can be inspected afterwards.

        The variable SKIP_TEARDOWN does the same without a keyword: `-v SKIP_TEARDOWN:True`.
        """
        self.session.keep = True
        logger.info(
            "Everything that this run creates is kept; the end of the run lists it, with the commands to remove it."
        )

    @keyword(tags=["cluster"])
    def get_run_id(self) -> str:
        """Returns the ID of this run: short, unique to the run, and usable in object names."""
        return self.session.run_id

    @keyword(tags=["cluster"])
    def check_rights(
        self, suite: str, *, namespace: str | None = None, skip: bool = True, cluster: str | None = None
    ) -> list[str]:
        """Checks whether the account has the rights that a suite needs, as `kubectl auth can-i` does.

        Missing rights are listed in one table in the log: the right, the rows that need it and the role that grants it.
        If all rows need a missing right, the suite is skipped; if only some rows need it, these are skipped by name,
        and the others run. Rights in a namespace that does not exist, or that the account may not even read, are an
        error instead: its name is most likely misspelt.

        Args:
            suite: Name of the suite's file, for instance `e2sar`; the rights are in the folder `manifests/access`.
            namespace: The only namespace to work in; without it, the suite creates its own.
            skip: Whether to skip; otherwise missing rights are only reported.
            cluster: Alias of the cluster.
        Returns:
            The missing rights.

        ```robotframework
        *** Settings ***
        Suite Setup    Check Rights    e2sar
        ```
        """
        from NetLibrary._mechanics.kube import rights

        connection = self.session.cluster(cluster)
        asked = rights.needed(suite, namespace)
        if connection.is_lab:
            return []  # its kubeconfig may do everything
        lacking = rights.missing(connection, asked)
        if lacking:
            caption = f"Rights that the account lacks; manifests/access/{suite}.yaml grants them"
            _robot.log_table(["Missing right", "Needed by", "Granted by"], rights.table(lacking), caption)
        needed = [right for right in lacking if not right.optional]
        everywhere = [right for right in needed if right.rows == "*"]
        if skip and needed:
            names = list(dict.fromkeys(map(str, everywhere or needed)))  # two roles may grant the same right
            words = "; ".join(names[:6]) + (f" and {len(names) - 6} more" if names[6:] else "")
            who = "all rows need" if everywhere else "rows need"
            text = f"The account lacks rights that {who}: {words}. manifests/access/{suite}.yaml grants them."
            if doubt := rights.doubt_about_namespace(connection, namespace, needed):
                raise InputError(f"{doubt} {text}")  # somebody named it: skipped tests would pass for a green run
            if everywhere:
                raise Unavailable(f"{text} {rights.likely_cause(suite, namespace, lacking)}".rstrip())
        if skip:
            # A suite may ask in several clusters
            self.session.lacking += needed
        return [str(right) for right in lacking]

    @keyword(tags=["cluster"])
    def sweep_cluster(
        self, *, older_than: timedelta = timedelta(hours=1), run: str = "", dry_run: bool = False,
        namespace: str | None = None, cluster: str | None = None,
    ) -> list[str]:  # fmt: skip
        """Removes what killed runs left behind: namespaces, other objects, and labels and cordons of nodes.

        Only objects that a run created are removed, and only changes that a run made are undone; marks in the objects
        identify both. A run that has shown a sign of life recently is left alone. `netlibrary sweep` does the same from
        a terminal.

        Args:
            older_than: How long a run must have shown no sign of life; at least 80 s.
            run: Only what the run with this ID left behind.
            dry_run: Whether only to list what would be removed.
            namespace: The only namespace to sweep, for an account without rights elsewhere.
            cluster: Alias of the cluster.
        Returns:
            What was removed or undone, one text for each object.

        ```robotframework
        *** Test Cases ***
        Nothing Is Left Of Runs Before
            Sweep Cluster    older_than=2 hours
        ```
        """
        from NetLibrary._mechanics.kube import sweep

        swept = sweep.sweep(
            self.session.cluster(cluster), older_than=older_than.total_seconds(), run=run, dry_run=dry_run,
            namespace=namespace, say=logger.info,
        )  # fmt: skip
        for title, lines in (("Swept", swept.removed), ("Left", swept.left), ("Not checked", swept.unseen)):
            if lines:
                logger.info(f"{title}:\n" + "\n".join(lines))
        return swept.removed
