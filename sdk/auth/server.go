package auth

import (
	"context"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/internal/wire"
	authv1 "github.com/openvic/vic/sdk/proto/auth/v1"
	"github.com/openvic/vic/sdk/secret"
)

// Register serves a driver over gRPC. driver is asked with every call, so that it can answer
// errdef.ErrUnavailable until there is one. The driver sees no request that breaks a bound, and an
// answer that does leaves the plugin as errdef.ErrInternal.
func Register(r grpc.ServiceRegistrar, driver func() (Driver, error)) {
	authv1.RegisterAuthServiceServer(r, &server{driver: driver})
}

type server struct {
	authv1.UnimplementedAuthServiceServer
	driver func() (Driver, error)
}

var _ authv1.AuthServiceServer = (*server)(nil)

// serve checks a request, runs method with the driver, checks the answer, and turns the error into a
// status.
func serve[Answer any](s *server, wrong error, method func(Driver) (Answer, error), check func(Answer) error) (Answer, error) {
	var none Answer
	d, err := s.driver()
	if err == nil {
		err = wrong
	}
	if err != nil {
		return none, errdef.ToGRPC(err)
	}
	answer, err := method(d)
	if err == nil {
		err = wire.Answer(check(answer))
	}
	if err != nil {
		return none, errdef.ToGRPC(err)
	}
	return answer, nil
}

// done is the answer of methods that have none.
type done struct{}

func (done) check() error { return nil }

func (s *server) Describe(ctx context.Context, _ *authv1.DescribeRequest) (*authv1.DescribeResponse, error) {
	d, err := serve(s, nil, func(d Driver) (Description, error) { return d.Describe(ctx) }, Description.check)
	if err != nil {
		return nil, err
	}
	return descriptionToWire(d), nil
}

func (s *server) Password(ctx context.Context, req *authv1.PasswordRequest) (*authv1.PasswordResponse, error) {
	r := passwordFromWire(req)
	i, err := serve(s, r.check(), func(d Driver) (Identity, error) { return d.Password(ctx, r) }, Identity.check)
	if err != nil {
		return nil, err
	}
	return &authv1.PasswordResponse{Identity: identityToWire(i)}, nil
}

func (s *server) Begin(ctx context.Context, req *authv1.BeginRequest) (*authv1.BeginResponse, error) {
	r := beginFromWire(req)
	to, err := serve(s, r.check(), func(d Driver) (Redirect, error) { return d.Begin(ctx, r) }, Redirect.check)
	if err != nil {
		return nil, err
	}
	return redirectToWire(to), nil
}

func (s *server) Finish(ctx context.Context, req *authv1.FinishRequest) (*authv1.FinishResponse, error) {
	r := finishFromWire(req)
	i, err := serve(s, r.check(), func(d Driver) (Identity, error) { return d.Finish(ctx, r) }, Identity.check)
	if err != nil {
		return nil, err
	}
	return &authv1.FinishResponse{Identity: identityToWire(i)}, nil
}

func (s *server) Token(ctx context.Context, req *authv1.TokenRequest) (*authv1.TokenResponse, error) {
	r := TokenRequest{Token: secret.Text(req.GetToken())}
	i, err := serve(s, r.check(), func(d Driver) (Identity, error) { return d.Token(ctx, r) }, Identity.check)
	if err != nil {
		return nil, err
	}
	return &authv1.TokenResponse{Identity: identityToWire(i)}, nil
}

func (s *server) Verify(ctx context.Context, req *authv1.VerifyRequest) (*authv1.VerifyResponse, error) {
	r := verifyFromWire(req)
	i, err := serve(s, r.check(), func(d Driver) (Identity, error) { return d.Verify(ctx, r) },
		func(i Identity) error { return i.checkVerified(r) })
	if err != nil {
		return nil, err
	}
	return &authv1.VerifyResponse{Identity: identityToWire(i)}, nil
}

func (s *server) Lookup(ctx context.Context, req *authv1.LookupRequest) (*authv1.LookupResponse, error) {
	r := lookupFromWire(req)
	e, err := serve(s, r.check(), func(d Driver) (Entry, error) { return d.Lookup(ctx, r) },
		func(e Entry) error { return e.check(r) })
	if err != nil {
		return nil, err
	}
	return entryToWire(e), nil
}

func (s *server) Search(ctx context.Context, req *authv1.SearchRequest) (*authv1.SearchResponse, error) {
	r := searchFromWire(req)
	res, err := serve(s, r.check(), func(d Driver) (SearchResult, error) { return d.Search(ctx, r) },
		func(res SearchResult) error { return res.check(r) })
	if err != nil {
		return nil, err
	}
	return resultToWire(res), nil
}

func (s *server) Save(ctx context.Context, req *authv1.SaveRequest) (*authv1.SaveResponse, error) {
	r := saveFromWire(req)
	_, err := serve(s, r.check(), func(d Driver) (done, error) { return done{}, d.Save(ctx, r) }, done.check)
	return &authv1.SaveResponse{}, err
}

func (s *server) Remove(ctx context.Context, req *authv1.RemoveRequest) (*authv1.RemoveResponse, error) {
	r := RemoveRequest{ID: req.GetId()}
	_, err := serve(s, r.check(), func(d Driver) (done, error) { return done{}, d.Remove(ctx, r) }, done.check)
	return &authv1.RemoveResponse{}, err
}
