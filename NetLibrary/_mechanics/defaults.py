"""Values that signatures show as defaults and mechanics use too. Imports nothing: keyword files read it at start-up."""

# Port, socket buffer and Service of an E2SAR receiver
E2SAR_PORT = 19522
E2SAR_BUFFER_BYTES = 3145728
E2SAR_SERVICE = "e2sar-receiver"
# Port of the echo servers on nodes
OUTAGE_HOST_PORT = 17007
# What a CyPerf server agent answers to health checks
CYPERF_HEALTH_PATH = "/CyPerfHTTPHealthCheck"

# Images. The table in images.py says what each must contain, and which variable of suites names another one.
AGNHOST_IMAGE = "registry.k8s.io/e2e-test-images/agnhost:2.53"
IPERF3_IMAGE = "quay.io/skupper/lanyard:latest"
FORTIO_IMAGE = "docker.io/fortio/fortio:1.68.2"
PYTHON_IMAGE = "docker.io/library/python:3.13-alpine"
PROBE_IMAGE = "ghcr.io/netlibrary/probe:1"
E2SAR_IMAGE = "ibaldin/e2sar:0.1.4"
E2SAR_STAND_IN_IMAGE = "ghcr.io/netlibrary/e2sar-perf-standin:1"
