{{/* Parts of network policies. */}}

{{/* Takes peers; none: anyone. */}}
{{- define "relay.policy.to" -}}
{{- with . -}}
to:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "relay.policy.from" -}}
{{- with . -}}
from:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "relay.policy.dns" -}}
- ports:
    - { protocol: UDP, port: 53 }
    - { protocol: TCP, port: 53 }
  {{- include "relay.policy.to" .Values.networkPolicy.dns | nindent 2 }}
{{- end -}}

{{/* The port of a URL. */}}
{{- define "relay.policy.urlPort" -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{ $port | default (ternary "80" "443" (eq $url.scheme "http")) }}
{{- end -}}
