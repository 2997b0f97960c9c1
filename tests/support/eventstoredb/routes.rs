//! The stand-in's services, by their paths.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::post;
use tonic::codec::ProstCodec;
use tonic::server::Grpc;
use tonic::{Response, Streaming};
use tower::service_fn;

use super::cluster::Shared;
use super::messages::{AppendReq, Empty, ReadReq, SupportedMethods};

/// All of them.
pub fn router(shared: &Arc<Shared>) -> Router {
    let read = Arc::clone(shared);
    let append = Arc::clone(shared);
    let gossip = Arc::clone(shared);
    Router::new()
        .route(
            "/event_store.client.streams.Streams/Read",
            post(move |request: Request| {
                let shared = Arc::clone(&read);
                let service = service_fn(move |request: tonic::Request<ReadReq>| {
                    let shared = Arc::clone(&shared);
                    async move {
                        shared.authenticate(request.metadata())?;
                        shared.check_leader(request.metadata())?;
                        Ok(Response::new(shared.read(request.into_inner())?))
                    }
                });
                async move {
                    Grpc::new(ProstCodec::default())
                        .server_streaming(service, request)
                        .await
                }
            }),
        )
        .route(
            "/event_store.client.streams.Streams/Append",
            post(move |request: Request| {
                let shared = Arc::clone(&append);
                let service = service_fn(move |request: tonic::Request<Streaming<AppendReq>>| {
                    let shared = Arc::clone(&shared);
                    async move {
                        shared.authenticate(request.metadata())?;
                        Ok(Response::new(shared.append(request.into_inner()).await?))
                    }
                });
                async move {
                    Grpc::new(ProstCodec::default())
                        .client_streaming(service, request)
                        .await
                }
            }),
        )
        .route(
            "/event_store.client.gossip.Gossip/Read",
            post(move |request: Request| {
                let shared = Arc::clone(&gossip);
                let service = service_fn(move |_: tonic::Request<Empty>| {
                    let members = shared.gossip();
                    async move { Ok(Response::new(members)) }
                });
                async move {
                    Grpc::new(ProstCodec::default())
                        .unary(service, request)
                        .await
                }
            }),
        )
        .route(
            "/event_store.client.server_features.ServerFeatures/GetSupportedMethods",
            post(|request: Request| {
                let service = service_fn(|_: tonic::Request<Empty>| async {
                    Ok(Response::new(SupportedMethods {
                        event_store_server_version: "24.10.0".to_owned(),
                    }))
                });
                async move {
                    Grpc::new(ProstCodec::default())
                        .unary(service, request)
                        .await
                }
            }),
        )
}
