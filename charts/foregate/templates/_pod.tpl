{{/* What the pods of the Deployment and of `helm test` have in common. */}}
{{- define "foregate.pod" -}}
serviceAccountName: {{ include "foregate.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
volumes:
  - name: config
    configMap:
      name: {{ include "foregate.fullname" . }}
  - name: secrets
    projected:
      defaultMode: 0440
      sources:
        {{- include "foregate.secrets" . | trim | nindent 8 }}
  {{- if .Values.sqlite.enabled }}
  - name: state
    persistentVolumeClaim:
      claimName: {{ default (printf "%s-state" (include "foregate.fullname" .)) .Values.sqlite.existingClaim }}
  {{- end }}
  {{- with .Values.trustedCertificates.existingConfigMap }}
  - name: certificates
    configMap:
      name: {{ . }}
      items:
        - { key: {{ $.Values.trustedCertificates.key | quote }}, path: ca.crt }
  {{- end }}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "foregate.container" -}}
image: {{ include "foregate.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  - name: FOREGATE_CONFIG
    value: /etc/foregate/foregate.toml
  - name: FOREGATE_LOG
    value: {{ .Values.log | quote }}
  {{- if .Values.trustedCertificates.existingConfigMap }}
  - name: SSL_CERT_FILE
    value: /etc/foregate-certificates/ca.crt
  {{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
resources:
  {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  - { name: config, mountPath: /etc/foregate, readOnly: true }
  - { name: secrets, mountPath: /run/foregate, readOnly: true }
  {{- if .Values.sqlite.enabled }}
  - { name: state, mountPath: /var/lib/foregate }
  {{- end }}
  {{- if .Values.trustedCertificates.existingConfigMap }}
  - { name: certificates, mountPath: /etc/foregate-certificates, readOnly: true }
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
