{{/* What belongs to a part of the chart that is off, as it is without a word about it. */}}
{{- define "foregate.defaults" -}}
autoscaling: { minReplicas: 2, maxReplicas: 6, targetCPUUtilizationPercentage: 70 }
podDisruptionBudget: { maxUnavailable: 1 }
cloudnativepg: { instances: 2, imageName: "", storage: { size: 1Gi, storageClass: "" }, resources: {} }
sqlite: { existingClaim: "", storage: { size: 1Gi, storageClass: "" } }
ingress: { className: "", annotations: {}, tlsSecretName: "" }
ingressRoute: { entryPoints: [websecure], certResolver: "", tlsSecretName: "" }
httpRoute: { parentRefs: [] }
networkPolicy: { frontProxies: [], monitoring: [], egress: [] }
serviceMonitor: { interval: 30s, labels: {} }
prometheusRule: { labels: {} }
dashboard: { labels: { grafana_dashboard: "1" }, annotations: {} }
{{- end }}

{{/* Refuses values that would change nothing, and what cannot be together. */}}
{{- define "foregate.effect" -}}
{{- range $part, $defaults := fromYaml (include "foregate.defaults" .) }}
{{- $given := get $.Values $part }}
{{- range $key, $default := $defaults }}
{{- if and (not $given.enabled) (ne (toJson (get $given $key)) (toJson $default)) }}
{{- fail (printf "%s.%s has no effect where %s.enabled is false" $part $key $part) }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.sqlite.enabled }}{{ include "foregate.effect.sqlite" . }}{{ end }}
{{- if and .Values.autoscaling.enabled (ne (int .Values.replicaCount) 2) }}
{{- fail "replicaCount has no effect where autoscaling.enabled is true: leave it out" }}
{{- end }}
{{- if and (not .Values.trustedCertificates.existingConfigMap) (ne .Values.trustedCertificates.key "ca.crt") }}
{{- fail "trustedCertificates.key has no effect without trustedCertificates.existingConfigMap" }}
{{- end }}
{{- include "foregate.effect.secrets" . }}
{{- end }}

{{/* One file has one writer. */}}
{{- define "foregate.effect.sqlite" -}}
{{- if .Values.autoscaling.enabled }}
{{- fail "sqlite.enabled takes one replica, and autoscaling.enabled makes more: several replicas need a PostgreSQL, by cloudnativepg.enabled or secrets.store" }}
{{- end }}
{{- if gt (int .Values.replicaCount) 1 }}
{{- fail "sqlite.enabled takes one replica: set replicaCount to 1. Several replicas need a PostgreSQL, by cloudnativepg.enabled or secrets.store" }}
{{- end }}
{{- if .Values.cloudnativepg.enabled }}
{{- fail "cloudnativepg.enabled has no effect where sqlite.enabled is true: leave one of them out" }}
{{- end }}
{{- range $key, $default := dict "size" "1Gi" "storageClass" "" }}
{{- if and $.Values.sqlite.existingClaim (ne (get $.Values.sqlite.storage $key) $default) }}
{{- fail (printf "sqlite.storage.%s has no effect beside sqlite.existingClaim: leave one of them out" $key) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Secrets that nobody reads. */}}
{{- define "foregate.effect.secrets" -}}
{{- $secrets := .Values.secrets }}
{{- $unused := dict }}
{{- $asked := list $secrets.adminToken $secrets.keys }}
{{- if .Values.cloudnativepg.enabled }}
{{- $_ := set $unused "store" "where cloudnativepg.enabled is true" }}
{{- else if .Values.sqlite.enabled }}
{{- $_ := set $unused "store" "where sqlite.enabled is true" }}
{{- else }}
{{- $asked = append $asked $secrets.store }}
{{- end }}
{{- $provider := default (dict "client_auth" "none") .Values.config.provider }}
{{- if eq (dig "client_auth" "" $provider) "none" }}
{{- $_ := set $unused "clientSecret" "without a config.provider that has a secret" }}
{{- else }}
{{- $asked = append $asked $secrets.clientSecret }}
{{- end }}
{{- range $name, $provider := .Values.config.providers }}
{{- if ne (dig "client_auth" "" $provider) "none" }}
{{- $asked = append $asked (dig $name dict $secrets.providers) }}
{{- end }}
{{- end }}
{{- range $name, $why := $unused }}
{{- range $key, $default := dict "existingSecret" "" "key" (get (dict "store" "store" "clientSecret" "client_secret") $name) }}
{{- if ne (get (get $secrets $name) $key) $default }}
{{- fail (printf "secrets.%s.%s has no effect %s: leave one of them out" $name $key $why) }}
{{- end }}
{{- end }}
{{- end }}
{{- $open := false }}
{{- range $asked }}{{ if not .existingSecret }}{{ $open = true }}{{ end }}{{ end }}
{{- if and $secrets.existingSecret (not $open) }}
{{- fail "secrets.existingSecret has no effect: each secret names its own" }}
{{- end }}
{{- end }}
