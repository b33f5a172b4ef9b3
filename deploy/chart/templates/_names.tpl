{{/* Names and labels. */}}

{{/* At most 40 characters, so that what is appended fits into the 63 of a label. */}}
{{- define "relay.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{/* What all pods of a release have. */}}
{{- define "relay.releaseLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* What the pods of one program have. Takes root and component. */}}
{{- define "relay.selectorLabels" -}}
{{ include "relay.releaseLabels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Takes root and component. */}}
{{- define "relay.labels" -}}
{{ include "relay.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Takes root, component, and name if it is not that of the component. */}}
{{- define "relay.metadata" -}}
name: {{ include "relay.fullname" .root }}-{{ .name | default .component }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "relay.labels" . | nindent 2 }}
{{- end -}}

{{/* Takes root, image: api or processor, and override: a digest or tag in place of the image's own, if any. */}}
{{- define "relay.image" -}}
{{- $image := index .root.Values.images .image -}}
{{- $override := .override | default dict -}}
{{- $digest := ternary $override.digest $image.digest (or $override.digest $override.tag | empty | not) -}}
{{- if $digest -}}
{{ $image.repository }}@{{ $digest }}
{{- else -}}
{{ $image.repository }}:{{ $override.tag | default .root.Values.images.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}
