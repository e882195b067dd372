package qdrantd

import (
	"context"
	"crypto/subtle"
	"runtime/debug"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// recoverPanics turns a handler's panic into codes.Internal, so that one bad
// request cannot take down the process the server lives in, and any error into one
// with a code.
func recoverPanics(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	defer func() {
		if r := recover(); r != nil {
			resp, err = nil, status.Errorf(codes.Internal, "Service internal error: panic in %s: %v\n%s", info.FullMethod, r, debug.Stack())
		}
	}()
	resp, err = next(ctx, req)
	return resp, asStatus(err)
}

// requireKey refuses requests without the key; an empty key accepts all.
func requireKey(key string) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if key != "" && subtle.ConstantTimeCompare([]byte(sentKey(ctx)), []byte(key)) != 1 {
			return nil, status.Error(codes.Unauthenticated, "Invalid API key or JWT")
		}
		return next(ctx, req)
	}
}

// sentKey is the key in the request's headers, "" if there is none.
func sentKey(ctx context.Context) string {
	if v := metadata.ValueFromIncomingContext(ctx, "api-key"); len(v) > 0 {
		return v[0]
	}
	if v := metadata.ValueFromIncomingContext(ctx, "authorization"); len(v) > 0 {
		return strings.TrimPrefix(v[0], "Bearer ")
	}
	return ""
}
