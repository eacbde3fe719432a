package auth

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/openvic/vic/sdk/internal/wire"
	authv1 "github.com/openvic/vic/sdk/proto/auth/v1"
	"github.com/openvic/vic/sdk/secret"
)

func kindToWire(k Kind) authv1.Kind {
	switch k {
	case User:
		return authv1.Kind_KIND_USER
	case Group:
		return authv1.Kind_KIND_GROUP
	default:
		return authv1.Kind_KIND_UNSPECIFIED
	}
}

// kindFromWire keeps a number that it does not know as a kind that no check accepts.
func kindFromWire(k authv1.Kind) Kind {
	switch k {
	case authv1.Kind_KIND_UNSPECIFIED:
		return ""
	case authv1.Kind_KIND_USER:
		return User
	case authv1.Kind_KIND_GROUP:
		return Group
	default:
		return Kind(k.String())
	}
}

func principalToWire(p Principal) *authv1.Principal {
	return &authv1.Principal{Id: p.ID, Kind: kindToWire(p.Kind), Name: p.Name, FullName: p.FullName, Email: p.Email, Disabled: p.Disabled}
}

func principalFromWire(p *authv1.Principal) Principal {
	return Principal{ID: p.GetId(), Kind: kindFromWire(p.GetKind()), Name: p.GetName(), FullName: p.GetFullName(),
		Email: p.GetEmail(), Disabled: p.GetDisabled()}
}

func identityToWire(i Identity) *authv1.Identity {
	return &authv1.Identity{Principal: principalToWire(i.Principal), Groups: i.Groups, Expires: wire.FromTime(i.Expires),
		Session: []byte(i.Session), LogoutUrl: i.LogoutURL}
}

func identityFromWire(i *authv1.Identity) Identity {
	return Identity{Principal: principalFromWire(i.GetPrincipal()), Groups: i.GetGroups(), Expires: wire.ToTime(i.GetExpires()),
		Session: secret.Text(i.GetSession()), LogoutURL: i.GetLogoutUrl()}
}

func descriptionToWire(d Description) *authv1.DescribeResponse {
	return &authv1.DescribeResponse{Title: d.Title, Domains: d.Domains, Administrators: d.Administrators, Refresh: durationpb.New(d.Refresh)}
}

func descriptionFromWire(d *authv1.DescribeResponse) Description {
	var refresh time.Duration
	if d.GetRefresh().IsValid() {
		refresh = d.GetRefresh().AsDuration()
	}
	return Description{Title: d.GetTitle(), Domains: d.GetDomains(), Administrators: d.GetAdministrators(), Refresh: refresh}
}

func passwordToWire(r PasswordRequest) *authv1.PasswordRequest {
	return &authv1.PasswordRequest{Name: r.Name, Password: string(r.Password)}
}

func passwordFromWire(r *authv1.PasswordRequest) PasswordRequest {
	return PasswordRequest{Name: r.GetName(), Password: secret.Text(r.GetPassword())}
}

func beginToWire(r BeginRequest) *authv1.BeginRequest {
	return &authv1.BeginRequest{Callback: r.Callback, State: r.State, Nonce: r.Nonce}
}

func beginFromWire(r *authv1.BeginRequest) BeginRequest {
	return BeginRequest{Callback: r.GetCallback(), State: r.GetState(), Nonce: r.GetNonce()}
}

func redirectToWire(r Redirect) *authv1.BeginResponse {
	return &authv1.BeginResponse{Url: r.URL, Sealed: []byte(r.Sealed), FormPost: r.FormPost}
}

func redirectFromWire(r *authv1.BeginResponse) Redirect {
	return Redirect{URL: r.GetUrl(), Sealed: secret.Text(r.GetSealed()), FormPost: r.GetFormPost()}
}

func finishToWire(r FinishRequest) *authv1.FinishRequest {
	return &authv1.FinishRequest{Callback: r.Callback, Nonce: r.Nonce, Sealed: []byte(r.Sealed), Parameters: r.Parameters}
}

func finishFromWire(r *authv1.FinishRequest) FinishRequest {
	return FinishRequest{Callback: r.GetCallback(), Nonce: r.GetNonce(), Sealed: secret.Text(r.GetSealed()), Parameters: r.GetParameters()}
}

func verifyToWire(r VerifyRequest) *authv1.VerifyRequest {
	return &authv1.VerifyRequest{Id: r.ID, Session: []byte(r.Session)}
}

func verifyFromWire(r *authv1.VerifyRequest) VerifyRequest {
	return VerifyRequest{ID: r.GetId(), Session: secret.Text(r.GetSession())}
}

func lookupToWire(r LookupRequest) *authv1.LookupRequest {
	return &authv1.LookupRequest{Id: r.ID, Name: r.Name}
}

func lookupFromWire(r *authv1.LookupRequest) LookupRequest {
	return LookupRequest{ID: r.GetId(), Name: r.GetName()}
}

func entryToWire(e Entry) *authv1.LookupResponse {
	return &authv1.LookupResponse{Principal: principalToWire(e.Principal), Groups: e.Groups}
}

func entryFromWire(e *authv1.LookupResponse) Entry {
	return Entry{Principal: principalFromWire(e.GetPrincipal()), Groups: e.GetGroups()}
}

func searchToWire(r SearchRequest) *authv1.SearchRequest {
	return &authv1.SearchRequest{Text: r.Text, Kind: kindToWire(r.Kind), Limit: uint32(max(r.Limit, 0)), Page: r.Page}
}

// searchFromWire makes a limit that is too large for an int on any machine one that the check refuses.
func searchFromWire(r *authv1.SearchRequest) SearchRequest {
	return SearchRequest{Text: r.GetText(), Kind: kindFromWire(r.GetKind()), Limit: int(min(r.GetLimit(), MaxLimit+1)), Page: r.GetPage()}
}

func resultToWire(r SearchResult) *authv1.SearchResponse {
	return &authv1.SearchResponse{Principals: wire.Map(r.Principals, principalToWire), NextPage: r.NextPage}
}

func resultFromWire(r *authv1.SearchResponse) SearchResult {
	return SearchResult{Principals: wire.Map(r.GetPrincipals(), principalFromWire), NextPage: r.GetNextPage()}
}

func saveToWire(r SaveRequest) *authv1.SaveRequest {
	return &authv1.SaveRequest{Principal: principalToWire(r.Principal), Password: string(r.Password), Groups: r.Groups,
		SetGroups: r.SetGroups, OnlyNew: r.OnlyNew}
}

func saveFromWire(r *authv1.SaveRequest) SaveRequest {
	return SaveRequest{Principal: principalFromWire(r.GetPrincipal()), Password: secret.Text(r.GetPassword()), Groups: r.GetGroups(),
		SetGroups: r.GetSetGroups(), OnlyNew: r.GetOnlyNew()}
}
