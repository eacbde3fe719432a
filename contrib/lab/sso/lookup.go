package sso

import (
	"encoding/base64"
	"net/http"

	"github.com/vmware/govmomi/lookup"
	"github.com/vmware/govmomi/lookup/methods"
	"github.com/vmware/govmomi/lookup/types"
	vim "github.com/vmware/govmomi/vim25/types"
)

// site is the only one.
const site = "vic-lab"

// serveLookup tells where the services are, by the name that the client used.
func (s *Server) serveLookup(w http.ResponseWriter, r *http.Request) {
	all := map[string]method{
		"RetrieveServiceContent": does(func(*caller, *types.RetrieveServiceContent) (any, *fault) {
			ref := func(kind, value string) *vim.ManagedObjectReference {
				return &vim.ManagedObjectReference{Type: kind, Value: value}
			}
			return &methods.RetrieveServiceContentBody{Res: &types.RetrieveServiceContentResponse{Returnval: types.LookupServiceContent{
				LookupService:       *ref("LookupLookupService", "lookupService"),
				ServiceRegistration: ref("LookupServiceRegistration", "ServiceRegistration"),
				L10n:                vim.ManagedObjectReference{Type: "LookupL10n", Value: "l10n"},
			}}}, nil
		}),
		"GetSiteId": does(func(*caller, *types.GetSiteId) (any, *fault) {
			return &methods.GetSiteIdBody{Res: &types.GetSiteIdResponse{Returnval: site}}, nil
		}),
		"List": does(func(_ *caller, req *types.List) (any, *fault) {
			res := &types.ListResponse{}
			for _, e := range s.registrations(base(r)) {
				if registered(e, req.FilterCriteria) {
					res.Returnval = append(res.Returnval, e)
				}
			}
			return &methods.ListBody{Res: res}, nil
		}),
	}
	serveSOAP(w, r, func(_ *request, name string, element []byte) (any, *fault) {
		m := all[name]
		if m == nil {
			return nil, &fault{"NotSupported", "the lookup service does not know " + name}
		}
		return m(nil, element)
	})
}

func (s *Server) registrations(base string) (all []types.LookupServiceRegistrationInfo) {
	for _, e := range []struct{ service, protocol, kind, path string }{
		{"cs.identity", "wsTrust", "com.vmware.cis.cs.identity.sso", "/sts/STSService/" + Domain},
		{"cs.identity", "vmomi", "com.vmware.cis.cs.identity.admin", "/sso-adminserver/sdk/" + Domain},
		{"cs.identity", "vmomi", "com.vmware.cis.cs.identity.groupcheck", "/sso-adminserver/sdk/" + Domain},
		{"cs.identity", "http", "com.vmware.cis.cs.identity.websso", "/openidconnect/" + Domain},
		{"sso:sts", "wsTrust", "com.vmware.cis.cs.identity.sso", "/sts/STSService/" + Domain}, // obsolete, and still asked for
		{"vcenterserver", "vmomi", "com.vmware.vim", "/sdk"},
	} {
		info := types.LookupServiceRegistrationInfo{ServiceId: site + ":" + e.kind, SiteId: site}
		info.ServiceVersion, info.OwnerId = lookup.Version, "Administrator@"+Domain
		info.ServiceType = types.LookupServiceRegistrationServiceType{Product: "com.vmware.cis", Type: e.service}
		info.ServiceEndpoints = []types.LookupServiceRegistrationEndpoint{{Url: base + e.path,
			EndpointType: types.LookupServiceRegistrationEndpointType{Protocol: e.protocol, Type: e.kind}}}
		if s.cfg.TLS != nil {
			info.ServiceEndpoints[0].SslTrust = []string{base64.StdEncoding.EncodeToString(s.cfg.TLS)}
		}
		all = append(all, info)
	}
	return all
}

// registered says whether a filter lets a service through; what the filter leaves empty matches all.
func registered(e types.LookupServiceRegistrationInfo, f *types.LookupServiceRegistrationFilter) bool {
	if f == nil {
		return true
	}
	same := func(want, got string) bool { return want == "" || want == got }
	ok := same(f.SiteId, e.SiteId) && same(f.NodeId, e.NodeId)
	if f.ServiceType != nil {
		ok = ok && same(f.ServiceType.Product, e.ServiceType.Product) && same(f.ServiceType.Type, e.ServiceType.Type)
	}
	if f.EndpointType != nil {
		at := e.ServiceEndpoints[0].EndpointType
		ok = ok && same(f.EndpointType.Protocol, at.Protocol) && same(f.EndpointType.Type, at.Type)
	}
	return ok
}
