"""NetLibrary: keywords that prove a Kubernetes network end to end."""

from __future__ import annotations

from datetime import timedelta

from robot.api.deco import library
from robot.errors import DataError
from robot.utils import timestr_to_secs

from NetLibrary._version import __version__
from NetLibrary.keywords._converters import prepared
from NetLibrary.keywords._listener import ListenerMixin
from NetLibrary.keywords._session import Session
from NetLibrary.keywords.cluster import ClusterKeywords
from NetLibrary.keywords.conformance import ConformanceKeywords
from NetLibrary.keywords.connections import ConnectionKeywords
from NetLibrary.keywords.cyperf import CyPerfKeywords
from NetLibrary.keywords.disruption import DisruptionKeywords
from NetLibrary.keywords.e2sar import E2SARKeywords
from NetLibrary.keywords.health import HealthKeywords
from NetLibrary.keywords.http import HTTPKeywords
from NetLibrary.keywords.latency import LatencyKeywords
from NetLibrary.keywords.logs import LogKeywords
from NetLibrary.keywords.matrix import MatrixKeywords
from NetLibrary.keywords.nodes import NodeKeywords
from NetLibrary.keywords.outage_results import OutageResultKeywords
from NetLibrary.keywords.outages import OutageKeywords
from NetLibrary.keywords.own_services import OwnServiceKeywords
from NetLibrary.keywords.pods import PodKeywords
from NetLibrary.keywords.policies import PolicyKeywords
from NetLibrary.keywords.port_forward import PortForwardKeywords
from NetLibrary.keywords.results import ResultKeywords
from NetLibrary.keywords.rollouts import RolloutKeywords
from NetLibrary.keywords.sharing import SharingKeywords
from NetLibrary.keywords.skupper import SkupperKeywords
from NetLibrary.keywords.throughput import ThroughputKeywords
from NetLibrary.keywords.throughput_servers import ThroughputServerKeywords
from NetLibrary.keywords.tidying import TidyingKeywords
from NetLibrary.keywords.traffic import TrafficKeywords
from NetLibrary.keywords.waits import WaitKeywords
from NetLibrary.keywords.workloads import WorkloadKeywords
from NetLibrary.types import CONVERTERS


@library(scope="GLOBAL", version=__version__, doc_format="MARKDOWN", listener="SELF", converters=prepared(CONVERTERS))
class NetLibrary(
    ClusterKeywords,
    HealthKeywords,
    ConformanceKeywords,
    ConnectionKeywords,
    ThroughputKeywords,
    ThroughputServerKeywords,
    LatencyKeywords,
    SkupperKeywords,
    SharingKeywords,
    ResultKeywords,
    OutageKeywords,
    OutageResultKeywords,
    TrafficKeywords,
    E2SARKeywords,
    CyPerfKeywords,
    MatrixKeywords,
    OwnServiceKeywords,
    PolicyKeywords,
    DisruptionKeywords,
    TidyingKeywords,
    WorkloadKeywords,
    RolloutKeywords,
    NodeKeywords,
    PortForwardKeywords,
    PodKeywords,
    WaitKeywords,
    LogKeywords,
    HTTPKeywords,
    ListenerMixin,
):
    """Proves a Kubernetes network end to end: Services, throughput, outages, Skupper, E2SAR, CyPerf.

    %TOC%

    # Connecting

    The first keyword that needs a cluster connects to one. It looks in this order: the import argument `kubeconfig`,
    the variable `${KUBECONFIG}`, the environment variable KUBECONFIG, the service account of the pod that Robot runs
    in, `~/.kube/config`, and finally the *lab*, a real Kubernetes cluster that is started on this machine and stopped
    at the end of the run. The choice and the reason for it are printed on the console and shown in the suite's
    metadata. `-v CLUSTER:lab` always uses the lab, `-v CLUSTER:lab:NAME` uses the lab of that name;
    `-v CLUSTER:kubeconfig` never falls back to a lab.

    `-v CONTEXT:NAME` selects a context of the kubeconfig other than the current one. Every field of a kubeconfig means
    what it means to kubectl; a field that cannot be honoured is refused. To use several clusters, give each an alias
    with [Connect To Cluster] and pass it to keywords as `cluster=`.

    # From kubectl's words to keywords

    Keyword names begin with kubectl's verbs: [Apply Manifest], [Get Object], [Scale Workload], [Drain Node]. A keyword
    that does what a kubectl command does names that command in its documentation, so a search for `kubectl drain` finds
    it. `docs/kubectl.md` lists them all in a table. Kinds are written as for kubectl, including short names: `deploy`,
    `svc`, `Site.skupper.io`.

    # Waiting

    Every wait uses a watch instead of polling, has a limit (its own `timeout`, or else the library's), and ends early
    when its goal can no longer be reached: an image that cannot be pulled, a pod that fits on no node. The failure says
    what was expected, what was seen, where, and for how long; the lines below it are the evidence.

    # Values of arguments

    | kind | written as | means |
    | --- | --- | --- |
    | rate, [Bitrate] | `10M`, `2.5 Gbit/s`, `800k`, `0` | bits per second, decimal prefixes; 0 is as fast as possible |
    | share, [Percentage] | `5 %`, `99.5` | percent, 0 or more |
    | time | `500 ms`, `90 s`, `2 min`, `5s` | a number without a unit is seconds; limits of outages need a unit |
    | path, [ThroughputPath], [OutagePath], [E2SARPath] | `cluster IP`, `node port from outside` | its name, in words |
    | row of the matrix, [MatrixCase] | `no endpoints`, `pod ip` | its name, in words |
    | target of traffic, [OutageTarget] | `http://web.shop:8080/healthz`, `tcp://db.shop:5432 from outside` | a URL |
    | place, [Source] | `shop/web-0`, `shop/app=web`, `node:node1`, `every node`, `outside` | where to connect from |
    | switch | `True`, `yes`, `on`, `1` and their opposites | |

    Case, spaces and underscores in names do not matter. An invalid value is refused before anything runs, and the
    message says what is allowed.

    # Failures and errors

    A test *fails* when the network or the product under test is at fault. A problem with the suite, the machine or the
    account is an *error*: its message names the argument and what is allowed. A test that needs something the cluster
    does not have is *skipped*, with the reason. After a failure the library collects, once per test, the state of the
    run's pods, warning events, the last log lines and the status of the scenario's objects.

    # Results

    Each measurement gives a table and a picture in the log and a line in `measurements.jsonl` in the output folder:
    what was measured and where, with which versions and images, every sample, and the verdict.
    [Measurement Should Match Baseline] compares it with the file of an earlier run. Stand-in programs are named as such
    in all of these.

    # Cleaning up

    The run owns what it creates: these objects carry the label `netlibrary.io/run` and are removed at the end of the
    run, also after a failure, a timeout or SIGTERM. Objects that existed before are never removed and never labelled;
    anything that a keyword changes in them, such as node labels, is recorded in the object and restored at the end.
    Deleting an object that the run did not create needs `allow_foreign=True`.

    [Delete Everything This Run Created] removes everything earlier and fails when something is left.
    `-v SKIP_TEARDOWN:True`, or [Keep Everything This Run Created], keeps everything and lists it with the commands to
    remove it. `netlibrary sweep`, or [Sweep Cluster], removes what a killed run left behind, from any machine.

    # Example

    ```robotframework
    *** Settings ***
    Library           NetLibrary
    Suite Teardown    Delete Everything This Run Created

    *** Test Cases ***
    Ten Gigabit Between Pods
        ${id}    Get Run Id
        Create Namespace    demo-${id}
        Apply Manifest    manifests/skupper_iperf3/server.yaml    namespace=demo-${id}
        Wait Until Deployment Is Available    iperf3-server    demo-${id}
        Measure Throughput    iperf3-server    demo-${id}    duration=5s    at_least=1G
    ```

    """

    def get_keyword_names(self) -> list[str]:
        """Returns the methods that are keywords, for Robot.

        It would find them itself, by looking for each attribute in every base class, which takes a third of its time.
        """
        names = {
            name for each in type(self).__mro__ for name, found in vars(each).items() if hasattr(found, "robot_name")
        }
        return sorted(names)

    def __init__(
        self,
        *,
        kubeconfig: str | None = None,
        context: str | None = None,
        timeout: timedelta | str = timedelta(seconds=60),
    ) -> None:
        """Prepares the library; nothing is connected before the first keyword that needs a cluster.

        Args:
            kubeconfig: File that names the cluster; see the section about connecting for what happens without one.
            context: Context of the kubeconfig; `${CONTEXT}`, or else its current one, by default.
            timeout: How long waits take at the most when a keyword does not say otherwise, for instance `90 s`.
        """
        # Were it declared as a time alone, Robot would end the whole run with a traceback for what is none
        try:
            seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timestr_to_secs(timeout)
        except (ValueError, TypeError):
            seconds = 0.0
        if not 0 < seconds < float("inf"):  # which "nan" is not, either
            raise DataError(f"timeout is '{timeout}'; allowed: a time above zero such as '90 s' or '2 min'.")
        ListenerMixin.__init__(self)
        self.session = Session(timeout=seconds, kubeconfig=kubeconfig, context=context)
