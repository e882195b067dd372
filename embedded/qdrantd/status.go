package qdrantd

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The prefixes below are those real Qdrant puts before its messages.

// badInput is the answer to a request that cannot be right.
func badInput(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, "Wrong input: "+format, args...)
}

// notFound is the answer when a named thing does not exist.
func notFound(format string, args ...any) error {
	return status.Errorf(codes.NotFound, "Not found: "+format, args...)
}

// noCollection is the answer when a collection does not exist.
func noCollection(name string) error {
	return notFound("Collection `%s` doesn't exist!", name)
}

// unsupported is the answer to something real Qdrant can do and this server
// cannot; what names the field or rpc.
func unsupported(what string) error {
	return status.Errorf(codes.Unimplemented, "%s is not supported by the embedded vector store; use a real Qdrant for it", what)
}

// asStatus makes any error of the engine a gRPC status.
func asStatus(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "Timeout: the request's deadline passed")
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "the request was cancelled")
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.Errorf(codes.Internal, "Service internal error: %v", err)
}
