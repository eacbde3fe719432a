package auth

import (
	"context"

	"google.golang.org/grpc"

	"github.com/openvic/vic/sdk/internal/wire"
	authv1 "github.com/openvic/vic/sdk/proto/auth/v1"
)

// NewClient makes a driver of a connection to a plugin that serves one. It sends no request that breaks
// a bound and returns no answer that does.
func NewClient(conn grpc.ClientConnInterface) Driver {
	return &client{c: authv1.NewAuthServiceClient(conn)}
}

type client struct {
	c authv1.AuthServiceClient
}

var _ Driver = (*client)(nil)

// call checks a request, sends it, and checks the answer.
func call[Req, Resp, Answer any](ctx context.Context, wrong error,
	method func(context.Context, *Req, ...grpc.CallOption) (*Resp, error), req *Req,
	from func(*Resp) Answer, check func(Answer) error,
) (Answer, error) {
	var none Answer
	if wrong != nil {
		return none, wrong
	}
	resp, err := wire.Call(ctx, method, req, maxMessage)
	if err != nil {
		return none, err
	}
	answer := from(resp)
	if err := wire.Answer(check(answer)); err != nil {
		return none, err
	}
	return answer, nil
}

func (c *client) Describe(ctx context.Context) (Description, error) {
	return call(ctx, nil, c.c.Describe, &authv1.DescribeRequest{}, descriptionFromWire, Description.check)
}

func (c *client) Password(ctx context.Context, req PasswordRequest) (Identity, error) {
	return call(ctx, req.check(), c.c.Password, passwordToWire(req),
		func(r *authv1.PasswordResponse) Identity { return identityFromWire(r.GetIdentity()) }, Identity.check)
}

func (c *client) Begin(ctx context.Context, req BeginRequest) (Redirect, error) {
	return call(ctx, req.check(), c.c.Begin, beginToWire(req), redirectFromWire, Redirect.check)
}

func (c *client) Finish(ctx context.Context, req FinishRequest) (Identity, error) {
	return call(ctx, req.check(), c.c.Finish, finishToWire(req),
		func(r *authv1.FinishResponse) Identity { return identityFromWire(r.GetIdentity()) }, Identity.check)
}

func (c *client) Token(ctx context.Context, req TokenRequest) (Identity, error) {
	return call(ctx, req.check(), c.c.Token, &authv1.TokenRequest{Token: string(req.Token)},
		func(r *authv1.TokenResponse) Identity { return identityFromWire(r.GetIdentity()) }, Identity.check)
}

func (c *client) Verify(ctx context.Context, req VerifyRequest) (Identity, error) {
	return call(ctx, req.check(), c.c.Verify, verifyToWire(req),
		func(r *authv1.VerifyResponse) Identity { return identityFromWire(r.GetIdentity()) },
		func(i Identity) error { return i.checkVerified(req) })
}

func (c *client) Lookup(ctx context.Context, req LookupRequest) (Entry, error) {
	return call(ctx, req.check(), c.c.Lookup, lookupToWire(req), entryFromWire, func(e Entry) error { return e.check(req) })
}

func (c *client) Search(ctx context.Context, req SearchRequest) (SearchResult, error) {
	return call(ctx, req.check(), c.c.Search, searchToWire(req), resultFromWire,
		func(r SearchResult) error { return r.check(req) })
}

func (c *client) Save(ctx context.Context, req SaveRequest) error {
	if err := req.check(); err != nil {
		return err
	}
	_, err := wire.Call(ctx, c.c.Save, saveToWire(req), maxMessage)
	return err
}

func (c *client) Remove(ctx context.Context, req RemoveRequest) error {
	if err := req.check(); err != nil {
		return err
	}
	_, err := wire.Call(ctx, c.c.Remove, &authv1.RemoveRequest{Id: req.ID}, maxMessage)
	return err
}
