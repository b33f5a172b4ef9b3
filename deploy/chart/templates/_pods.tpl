{{/* What all pods have: no rights that they do not need, and room for temporary files. */}}

{{/* Takes root, component and values: those of the program. */}}
{{- define "relay.podMetadata" -}}
labels:
  {{- include "relay.labels" . | nindent 2 }}
{{- with .values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The user is that of the images. Takes root, values and, if it is not that of the release, serviceAccount. */}}
{{- define "relay.podSpec" -}}
serviceAccountName: {{ .serviceAccount | default (include "relay.fullname" .root) }}
automountServiceAccountToken: false
enableServiceLinks: false # a Service called "postgres" would set POSTGRES_PORT
{{- with .root.Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  seccompProfile: { type: RuntimeDefault }
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* Takes root, image, values and, if it is not the image of the release, override. */}}
{{- define "relay.container" -}}
image: {{ include "relay.image" . }}
imagePullPolicy: {{ .root.Values.images.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
resources:
  {{- toYaml .values.resources | nindent 2 }}
volumeMounts:
  - { name: tmp, mountPath: /tmp }
  {{- if .secrets }}
  - { name: secrets, mountPath: /secrets, readOnly: true }
  {{- end }}
{{- end -}}

{{/* Takes secrets: the sources of a projected volume, as text. The group of the pod can read it. */}}
{{- define "relay.volumes" -}}
volumes:
  - name: tmp
    emptyDir: { sizeLimit: 64Mi }
  {{- with .secrets }}
  - name: secrets
    projected:
      defaultMode: 0440
      sources:
        {{- . | nindent 8 }}
  {{- end }}
{{- end -}}

{{/* Takes root, component, and hash: a label that differs between two versions of the program. */}}
{{- define "relay.topologySpread" -}}
topologySpreadConstraints:
  {{- range $key, $unsatisfiable := dict "topology.kubernetes.io/zone" .root.Values.topologySpread.zone "kubernetes.io/hostname" .root.Values.topologySpread.node }}
  - topologyKey: {{ $key }}
    maxSkew: 1
    whenUnsatisfiable: {{ $unsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "relay.selectorLabels" $ | nindent 8 }}
    matchLabelKeys: [{{ $.hash }}]
  {{- end }}
{{- end -}}

{{/* The process answers within 30 s after its start, and for longer than a busy minute. Takes port. */}}
{{- define "relay.aliveProbes" -}}
startupProbe:
  httpGet: { path: /livez, port: {{ .port }} }
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 30
livenessProbe:
  httpGet: { path: /livez, port: {{ .port }} }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end -}}

{{/* In s, rounded up, for what ends within that many ms, and 10 s besides. */}}
{{- define "relay.graceSeconds" -}}
{{ add (div (add . 999) 1000) 10 }}
{{- end -}}
