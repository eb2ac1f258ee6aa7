import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import "./theme/theme.css";
import "./ui/ui.css";
import "./forms/forms.css";
import "./views/views.css";
import "./pages/pages.css";

const root = document.getElementById("root");
if (root) createRoot(root).render(<StrictMode><App /></StrictMode>);
