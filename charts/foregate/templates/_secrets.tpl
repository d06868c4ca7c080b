{{/* One file from a Secret. Takes the root, the name of the value, where the secret is and the file's name. */}}
{{- define "foregate.secret" -}}
{{- $root := index . 0 }}
{{- $where := index . 2 }}
{{- $name := default $root.Values.secrets.existingSecret $where.existingSecret }}
{{- if not $name }}
{{- fail (printf "%s.existingSecret is not set: name the Secret that holds the key %s, here or for all in secrets.existingSecret" (index . 1) $where.key) }}
{{- end }}
- secret:
    name: {{ $name }}
    items:
      - { key: {{ $where.key | quote }}, path: {{ index . 3 | quote }} }
{{- end }}

{{/* All of them, as the sources of one volume. */}}
{{- define "foregate.secrets" -}}
{{- $root := . }}
{{- $secrets := .Values.secrets }}
{{- include "foregate.secret" (list . "secrets.adminToken" $secrets.adminToken "admin_token") }}
{{- include "foregate.secret" (list . "secrets.keys" $secrets.keys "keys") }}
{{- $store := $secrets.store }}
{{- if .Values.cloudnativepg.enabled }}
{{- $store = dict "existingSecret" (printf "%s-db-app" (include "foregate.fullname" .)) "key" "uri" }}
{{- end }}
{{- if not .Values.sqlite.enabled }}
{{- include "foregate.secret" (list . "secrets.store" $store "store") }}
{{- end }}
{{- with .Values.config.provider }}
{{- if ne (dig "client_auth" "" .) "none" }}
{{- include "foregate.secret" (list $root "secrets.clientSecret" $secrets.clientSecret "client_secret") }}
{{- end }}
{{- end }}
{{- range $name, $provider := .Values.config.providers }}
{{- if ne (dig "client_auth" "" $provider) "none" }}
{{- $where := dict "key" $name | merge (deepCopy (dig $name dict $secrets.providers)) }}
{{- include "foregate.secret" (list $root (printf "secrets.providers.%s" $name) $where (printf "providers/%s" $name)) }}
{{- end }}
{{- end }}
{{- range $name, $where := $secrets.providers }}
{{- if not (hasKey (default dict $root.Values.config.providers) $name) }}
{{- fail (printf "secrets.providers.%s has no effect: there is no config.providers.%s" $name $name) }}
{{- end }}
{{- end }}
{{- end }}
