{{/*
Settings of the programs as environment variables, and the Secrets that some of them name as files:

    define "relay.X.env"        entries of env
    define "relay.X.secrets"    sources of the volume that is mounted at /secrets
*/}}

{{/* A number of YAML is a float, and a large one would be written as 3.3e+07. */}}
{{- define "relay.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}{{ int64 . | toString | quote }}{{- else -}}{{ toString . | quote }}{{- end -}}
{{- end -}}

{{/* Takes a dict of settings. */}}
{{- define "relay.settings.env" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ include "relay.text" $value }}
{{- end }}
{{- end -}}

{{/* Takes root and login: owner, processor or api. */}}
{{- define "relay.database.env" -}}
{{- $database := .root.Values.database -}}
{{- $login := index $database .login -}}
{{- $pooler := ternary $database.api.pooler (dict "host" "") (eq .login "api") }}
- name: POSTGRES_HOST
  value: {{ $pooler.host | default (required "database.host is not set: the host of PostgreSQL" $database.host) | quote }}
- name: POSTGRES_PORT
  value: {{ include "relay.text" (ternary $pooler.port $database.port (ne $pooler.host "")) }}
- name: POSTGRES_DB
  value: {{ $database.name | quote }}
- name: POSTGRES_USER
  value: {{ $login.user | quote }}
- name: POSTGRES_PASSWORD_FILE
  value: /secrets/database/password
{{- if $database.tls.enabled }}
- name: DATABASE_TLS
  value: "true"
{{- if $database.tls.ca.existingSecret }}
- name: DATABASE_TLS_CA_FILE
  value: /secrets/database/ca.crt
{{- end }}
{{- end }}
{{- if eq .login "api" }}
{{- if $login.listenUrlKey }}
- name: DATABASE_LISTEN_URL_FILE
  value: /secrets/database/listen-url
{{- end }}
{{- if $login.replicaUrlKey }}
- name: DATABASE_REPLICA_URL_FILE
  value: /secrets/database/replica-url
{{- end }}
{{- end }}
{{- end -}}

{{/* Takes root and login. */}}
{{- define "relay.database.secrets" -}}
{{- $database := .root.Values.database -}}
{{- $login := index $database .login -}}
{{- $isApi := eq .login "api" -}}
- secret:
    name: {{ required (printf "database.%s.existingSecret is not set: the Secret with the password of %s" .login $login.user) $login.existingSecret }}
    items:
      - { key: {{ $login.passwordKey }}, path: database/password }
      {{- if and $isApi $login.listenUrlKey }}
      - { key: {{ $login.listenUrlKey }}, path: database/listen-url }
      {{- end }}
      {{- if and $isApi $login.replicaUrlKey }}
      - { key: {{ $login.replicaUrlKey }}, path: database/replica-url }
      {{- end }}
{{- with $database.tls.ca }}
{{- if and $database.tls.enabled .existingSecret }}
- secret:
    name: {{ .existingSecret }}
    items:
      - { key: {{ .key }}, path: database/ca.crt }
{{- end }}
{{- end }}
{{- end -}}

{{/* Takes root and login: processor or api. */}}
{{- define "relay.eventLog.env" -}}
{{- $kafka := .root.Values.kafka }}
- name: EVENT_LOG
  value: {{ .root.Values.eventLog }}
{{- if eq .root.Values.eventLog "kafka" }}
{{- $login := index $kafka .login }}
- name: KAFKA_BOOTSTRAP_SERVERS
  value: {{ required "kafka.bootstrapServers is not set: host:port of the brokers, separated by commas. Without Kafka set eventLog to postgres" $kafka.bootstrapServers | quote }}
{{- if $kafka.tls.enabled }}
- name: KAFKA_TLS
  value: "true"
{{- if $kafka.tls.ca.existingSecret }}
- name: KAFKA_TLS_CA_FILE
  value: /secrets/kafka/ca.crt
{{- end }}
{{- if $login.clientCertificate.existingSecret }}
- name: KAFKA_TLS_CERT_FILE
  value: /secrets/kafka/client.crt
- name: KAFKA_TLS_KEY_FILE
  value: /secrets/kafka/client.key
{{- end }}
{{- end }}
{{- if $kafka.sasl.mechanism }}
- name: KAFKA_SASL_MECHANISM
  value: {{ $kafka.sasl.mechanism }}
- name: KAFKA_SASL_USERNAME
  value: {{ required (printf "kafka.%s.username is not set, and kafka.sasl.mechanism is" .login) $login.username | quote }}
- name: KAFKA_SASL_PASSWORD_FILE
  value: /secrets/kafka/password
{{- end }}
{{- end }}
{{- end -}}

{{/* Takes root and login. */}}
{{- define "relay.eventLog.secrets" -}}
{{- $kafka := .root.Values.kafka }}
{{- if eq .root.Values.eventLog "kafka" }}
{{- $login := index $kafka .login }}
{{- if $kafka.tls.enabled }}
{{- with $kafka.tls.ca }}
{{- if .existingSecret }}
- secret:
    name: {{ .existingSecret }}
    items:
      - { key: {{ .key }}, path: kafka/ca.crt }
{{- end }}
{{- end }}
{{- with $login.clientCertificate }}
{{- if .existingSecret }}
- secret:
    name: {{ .existingSecret }}
    items:
      - { key: {{ .certKey }}, path: kafka/client.crt }
      - { key: {{ .keyKey }}, path: kafka/client.key }
{{- end }}
{{- end }}
{{- end }}
{{- if $kafka.sasl.mechanism }}
- secret:
    name: {{ required (printf "kafka.%s.existingSecret is not set: the Secret with the password of %s" .login $login.username) $login.existingSecret }}
    items:
      - { key: {{ $login.passwordKey }}, path: kafka/password }
{{- end }}
{{- end }}
{{- end -}}

{{/* Takes root and whether the Deployment takes MQTT. */}}
{{- define "relay.api.env" -}}
{{- $api := .root.Values.api }}
- name: SHUTDOWN_DRAIN_MS
  value: {{ include "relay.text" $api.drainMs }}
- name: SHUTDOWN_TIMEOUT_MS
  value: {{ include "relay.text" $api.shutdownTimeoutMs }}
{{- if $api.tokens.existingSecret }}
- name: API_TOKENS_FILE
  value: /secrets/api/tokens
{{- end }}
{{- if .mqtt }}
- name: MQTT_PORT
  value: {{ include "relay.text" $api.mqtt.port }}
{{- if $api.mqtt.tls.existingSecret }}
- name: MQTT_TLS_CERT_FILE
  value: /secrets/mqtt/tls.crt
- name: MQTT_TLS_KEY_FILE
  value: /secrets/mqtt/tls.key
{{- if $api.mqtt.tls.clientCaKey }}
- name: MQTT_TLS_CA_FILE
  value: /secrets/mqtt/ca.crt
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Takes root and mqtt. */}}
{{- define "relay.api.secrets" -}}
{{- $api := .root.Values.api }}
{{- if $api.tokens.existingSecret }}
- secret:
    name: {{ $api.tokens.existingSecret }}
    items:
      - { key: {{ $api.tokens.key }}, path: api/tokens }
{{- end }}
{{- with $api.mqtt.tls }}
{{- if and $.mqtt .existingSecret }}
- secret:
    name: {{ .existingSecret }}
    items:
      - { key: {{ .certKey }}, path: mqtt/tls.crt }
      - { key: {{ .keyKey }}, path: mqtt/tls.key }
      {{- if .clientCaKey }}
      - { key: {{ .clientCaKey }}, path: mqtt/ca.crt }
      {{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Takes root. */}}
{{- define "relay.tracing.env" -}}
{{- with .root.Values.tracing }}
{{- if .endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
{{- if .headers.existingSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS_FILE
  value: /secrets/tracing/headers
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Takes root. */}}
{{- define "relay.tracing.secrets" -}}
{{- with .root.Values.tracing }}
{{- if and .endpoint .headers.existingSecret }}
- secret:
    name: {{ .headers.existingSecret }}
    items:
      - { key: {{ .headers.key }}, path: tracing/headers }
{{- end }}
{{- end }}
{{- end -}}
