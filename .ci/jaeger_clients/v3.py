"""Asks with the package mcp-server-jaeger, which speaks version 3, and prints what it made of the answers.

Usage: v3.py BASE TRACE_ID
"""

import json
import sys

from jaeger_mcp.helper import tool_helper as jaeger

base, trace_id = sys.argv[1:]
overview = jaeger.get_trace_overview(base, trace_id)
errors = jaeger.get_trace_errors(base, trace_id)
print(json.dumps({
    "services": sorted(jaeger.get_all_services(base).services),
    "operations": [
        [operation.name, operation.spanKind]
        for operation in jaeger.get_service_operations(base, "database").operations
    ],
    "summaries": [
        [s.traceId, s.rootServiceName, s.rootOperationName, s.spanCount, [service.name for service in s.services]]
        for s in jaeger.get_trace_summaries(base, "shop").summaries
    ],
    "overview": [overview.rootServiceName, overview.rootOperationName, overview.spanCount, overview.errorCount],
    "errors": [error.operationName for error in errors.errors],
}))
