{{/*
One Deployment of the API. Takes

    root
    component    query or ingest
    readyFor     what its requests need: query, ingest, or any for both
    mqtt         whether it takes MQTT
*/}}
{{- define "relay.api" -}}
{{- $root := .root -}}
{{- $values := index $root.Values .component -}}
{{- $settings := merge (dict) $values.settings $root.Values.api.settings $root.Values.settings -}}
{{- $secrets := trim (print
  (include "relay.database.secrets" (dict "root" $root "login" "api"))
  (include "relay.eventLog.secrets" (dict "root" $root "login" "api"))
  (include "relay.tracing.secrets" (dict "root" $root))
  (include "relay.api.secrets" .)) -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "relay.metadata" . | nindent 2 }}
spec:
  {{- if not (or $values.autoscaling.enabled (kindIs "invalid" $values.replicas)) }}
  replicas: {{ $values.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  selector:
    matchLabels:
      {{- include "relay.selectorLabels" . | nindent 6 }}
  strategy:
    type: RollingUpdate
    rollingUpdate: { maxSurge: 1, maxUnavailable: 0 }
  template:
    metadata:
      {{- include "relay.podMetadata" (dict "root" $root "component" .component "values" $values) | nindent 6 }}
    spec:
      {{- include "relay.podSpec" (dict "root" $root "values" $values) | nindent 6 }}
      # the drain, then the work in progress
      terminationGracePeriodSeconds: {{ include "relay.graceSeconds" (add $root.Values.api.drainMs $root.Values.api.shutdownTimeoutMs) }}
      {{- include "relay.topologySpread" (dict "root" $root "component" .component "hash" "pod-template-hash") | nindent 6 }}
      containers:
        - name: api
          {{- include "relay.container" (dict "root" $root "image" "api" "values" $values "secrets" $secrets) | nindent 10 }}
          ports:
            - { name: http, containerPort: 8080 }
            - { name: metrics, containerPort: 8084 }
            {{- if .mqtt }}
            - { name: mqtt, containerPort: {{ $root.Values.api.mqtt.port }} }
            {{- end }}
          env:
            {{- include "relay.settings.env" $settings | indent 12 }}
            {{- include "relay.api.env" . | indent 12 }}
            {{- include "relay.database.env" (dict "root" $root "login" "api") | indent 12 }}
            {{- include "relay.eventLog.env" (dict "root" $root "login" "api") | indent 12 }}
            {{- include "relay.tracing.env" (dict "root" $root) | indent 12 }}
          {{- include "relay.aliveProbes" (dict "port" "http") | nindent 10 }}
          readinessProbe:
            httpGet: { path: '/readyz?for={{ .readyFor }}', port: http }
            periodSeconds: 3
            timeoutSeconds: 2
            failureThreshold: 2
      {{- include "relay.volumes" (dict "secrets" $secrets) | nindent 6 }}
{{- end -}}
