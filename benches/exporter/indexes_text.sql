-- Skip indexes that the exporter creates on ClickHouse 26.2 and newer.

ALTER TABLE exporter.otel_traces
    ADD INDEX idx_trace_id TraceId TYPE text(tokenizer = 'array'),
    ADD INDEX idx_res_attr_key mapKeys(ResourceAttributes) TYPE text(tokenizer = 'array'),
    ADD INDEX idx_res_attr_items ResourceAttributeItems TYPE text(tokenizer = 'array'),
    ADD INDEX idx_span_attr_key mapKeys(SpanAttributes) TYPE text(tokenizer = 'array'),
    ADD INDEX idx_span_attr_items SpanAttributeItems TYPE text(tokenizer = 'array'),
    ADD INDEX idx_duration Duration TYPE minmax GRANULARITY 1,
    ADD INDEX idx_lower_span_name lower(SpanName) TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 8;

ALTER TABLE exporter.otel_logs
    ADD INDEX idx_trace_id TraceId TYPE text(tokenizer = 'array'),
    ADD INDEX idx_res_attr_key mapKeys(ResourceAttributes) TYPE text(tokenizer = 'array'),
    ADD INDEX idx_res_attr_value mapValues(ResourceAttributes) TYPE text(tokenizer = 'array'),
    ADD INDEX idx_scope_attr_key mapKeys(ScopeAttributes) TYPE text(tokenizer = 'array'),
    ADD INDEX idx_scope_attr_value mapValues(ScopeAttributes) TYPE text(tokenizer = 'array'),
    ADD INDEX idx_log_attr_key mapKeys(LogAttributes) TYPE text(tokenizer = 'array'),
    ADD INDEX idx_log_attr_value mapValues(LogAttributes) TYPE text(tokenizer = 'array'),
    ADD INDEX idx_lower_body lower(Body) TYPE text(tokenizer = 'splitByNonAlpha');
