# All that authentik has to know of foregate, as ../foregate.yaml has it, for who keeps authentik in Terraform or OpenTofu. Take one of
# the two, not both. Written for authentik 2026.5. authentik's own address and token come by AUTHENTIK_URL and AUTHENTIK_TOKEN.
terraform {
  required_version = ">= 1.6"
  required_providers {
    authentik = {
      source  = "goauthentik/authentik"
      version = "~> 2026.5"
    }
  }
}

variable "foregate_url" {
  description = "foregate's public_url, without a slash at its end"
  type        = string
  validation {
    condition     = can(regex("^https?://[^/]+$", var.foregate_url))
    error_message = "Write it as https://auth.example.com, without a path."
  }
}

variable "foregate_client_secret" {
  description = "What provider.client_secret of foregate is. It is in the state: keep that as you keep secrets."
  type        = string
  sensitive   = true
}

variable "foregate_backchannel_url" {
  description = "Where authentik itself reaches foregate: foregate_url again if null, or such as http://foregate:4180"
  type        = string
  default     = null
}

data "authentik_flow" "authorization" {
  slug = "default-provider-authorization-implicit-consent"
}

data "authentik_flow" "invalidation" {
  slug = "default-provider-invalidation-flow"
}

data "authentik_certificate_key_pair" "signing" {
  name              = "authentik Self-signed Certificate"
  fetch_certificate = false
  fetch_key         = false
}

data "authentik_property_mapping_provider_scope" "standard" {
  managed_list = [
    "goauthentik.io/providers/oauth2/scope-openid",
    "goauthentik.io/providers/oauth2/scope-email",
    "goauthentik.io/providers/oauth2/scope-offline_access",
  ]
}

resource "authentik_group" "users" {
  name = "foregate-users"
}

# What foregate reads: names and groups; and entitlements, for apps with headers = "authentik".
resource "authentik_property_mapping_provider_scope" "profile" {
  name        = "foregate: profile"
  scope_name  = "profile"
  description = "Name and groups"
  expression  = <<-EOT
    return {
        "name": request.user.name,
        "preferred_username": request.user.username,
        "groups": sorted(group.name for group in request.user.all_groups()),
    }
  EOT
}

resource "authentik_property_mapping_provider_scope" "entitlements" {
  name        = "foregate: entitlements"
  scope_name  = "entitlements"
  description = "Entitlements of the application"
  expression  = <<-EOT
    return {"entitlements": [one.name for one in request.user.app_entitlements(provider.application)]}
  EOT
}

resource "authentik_provider_oauth2" "foregate" {
  name                       = "foregate"
  client_type                = "confidential"
  client_id                  = "foregate"
  client_secret              = var.foregate_client_secret
  grant_types                = ["authorization_code", "refresh_token"]
  authorization_flow         = data.authentik_flow.authorization.id
  invalidation_flow          = data.authentik_flow.invalidation.id
  signing_key                = data.authentik_certificate_key_pair.signing.id
  issuer_mode                = "per_provider"
  sub_mode                   = "user_uuid"
  include_claims_in_id_token = true
  # Groups are looked at again whenever an access token is renewed.
  access_token_validity  = "minutes=10"
  refresh_token_validity = "days=30"
  property_mappings = concat(data.authentik_property_mapping_provider_scope.standard.ids, [
    authentik_property_mapping_provider_scope.profile.id,
    authentik_property_mapping_provider_scope.entitlements.id,
  ])
  allowed_redirect_uris = [
    {
      matching_mode     = "strict"
      redirect_uri_type = "authorization"
      url               = "${var.foregate_url}/.foregate/callback"
    },
    {
      matching_mode     = "strict"
      redirect_uri_type = "logout"
      url               = "${var.foregate_url}/.foregate/signed-out"
    },
  ]
  logout_method = "backchannel"
  logout_uri    = "${coalesce(var.foregate_backchannel_url, var.foregate_url)}/.foregate/backchannel-logout"
}

resource "authentik_application" "foregate" {
  name              = "foregate"
  slug              = "foregate"
  protocol_provider = authentik_provider_oauth2.foregate.id
  meta_launch_url   = var.foregate_url
}
