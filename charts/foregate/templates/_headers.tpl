{{/* The names of one set of identity headers, as foregate has them. */}}
{{- define "foregate.headers.of" -}}
{{- if kindIs "map" . }}{{ keys . | join "," | lower }}
{{- else if eq . "authentik" -}}
x-authentik-username,x-authentik-groups,x-authentik-entitlements,x-authentik-email,x-authentik-name,x-authentik-uid,
{{- "" }}x-authentik-jwt,x-authentik-meta-jwks,x-authentik-meta-outpost,x-authentik-meta-provider,x-authentik-meta-app,
{{- "" }}x-authentik-meta-version
{{- else if eq . "oauth2-proxy" -}}
x-auth-request-user,x-auth-request-email,x-auth-request-groups,x-auth-request-preferred-username,
{{- "" }}x-auth-request-access-token
{{- else -}}
remote-user,remote-name,remote-email,remote-groups
{{- end }}
{{- end }}

{{/* All names that any app gets, so that one check serves all routes: what an app does not get is taken off it. */}}
{{- define "foregate.headers" -}}
{{- $config := .Values.config }}
{{- $names := list (include "foregate.headers.of" (default "remote" $config.headers)) "x-foregate-token" }}
{{- $assertion := dig "assertion" false $config }}
{{- range $app := $config.apps }}
{{- if kindIs "map" $app }}
{{- with $app.headers }}
{{- $names = append $names (include "foregate.headers.of" .) }}
{{- end }}
{{- $assertion = or $assertion (dig "assertion" false $app) }}
{{- end }}
{{- end }}
{{- if $config.roles }}
{{- $names = append $names "x-roles,x-permissions" }}
{{- end }}
{{- if $config.tenants }}
{{- $names = append $names "x-tenant-id,x-tenant-role" }}
{{- end }}
{{- if $assertion }}
{{- $names = append $names "foregate-assertion" }}
{{- end }}
{{- join "," $names | splitList "," | uniq | sortAlpha | join "," }}
{{- end }}

{{/* Every spelling of them, as servers behind CGI cannot tell Remote-User, Remote_User and Remote.User apart. */}}
{{- define "foregate.spellings" -}}
{{- $spellings := list }}
{{- range include "foregate.headers" . | splitList "," }}
{{- $spellings = append $spellings (regexReplaceAll "[^a-z0-9]" . "[^a-z0-9]") }}
{{- end }}
{{- join "|" $spellings }}
{{- end }}
